import { DomainError } from '#core/errors.ts'
import type { OrganizationRecord } from '#core/organizations/organization-record.ts'
import { organizationRecordName } from '#core/stores/identity-records.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import type { Caller } from './callers/caller.ts'
import { ProblemError } from './problems.ts'

/** The caller's organization, if it may act at all. */
export async function organizationOf(
  identities: IdentityReader,
  { organization }: Caller,
): Promise<OrganizationRecord> {
  const record = await identities.get('organization', organization, organizationRecordName)
  if (record === undefined) {
    if (await identities.isReady()) throw new ProblemError('invalid_api_key', { why: 'organization-gone' })
    throw new DomainError('store-not-ready', 'the record of the organization is not there yet')
  }
  if (record.suspended) throw new ProblemError('organization_suspended')
  return record
}
