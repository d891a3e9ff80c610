import { type OrganizationId, parseOrganizationId } from '#core/organizations/organization-id.ts'
import type { OrganizationRecord } from '#core/organizations/organization-record.ts'
import { organizationRecordName } from '#core/stores/identity-records.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import { DomainError } from '#core/errors.ts'
import { ProblemError } from '../problems.ts'

/** Every origin, and callers that are no browser and have none. */
const anyOrigin = '*'

/**
 * Somebody without an API key, where the organization opened its exchange to everybody. One that did not is answered
 * as one that does not exist.
 */
export async function callerWithoutKey(
  identities: IdentityReader,
  organization: string,
  origin: string | undefined,
): Promise<{ readonly organization: OrganizationId; readonly open: OpenExchange }> {
  const id = parseOrganizationId(organization)
  const record =
    id === undefined ? undefined : await identities.get('organization', id, organizationRecordName)
  if (id === undefined || record?.exchange.public === undefined) {
    if (record === undefined && !(await identities.isReady())) {
      throw new DomainError('store-not-ready', 'the records of organizations are not there yet')
    }
    throw new ProblemError('organization_not_found')
  }
  const { origins } = record.exchange.public
  if (!origins.includes(anyOrigin) && (origin === undefined || !origins.includes(origin))) {
    throw new ProblemError('origin_not_allowed')
  }
  return { organization: id, open: record.exchange.public }
}

export type OpenExchange = NonNullable<OrganizationRecord['exchange']['public']>
