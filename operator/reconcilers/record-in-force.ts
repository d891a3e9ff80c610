import { isDomainError } from '#core/errors.ts'
import type { IdentityRecord, IdentityRecordType } from '#core/stores/identity-records.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import type { RecordAddress } from './record-ledger.ts'

/** What stands in the store; `damaged` where that is no record, which nobody can read but another one may replace. */
export async function recordInForce<T extends IdentityRecordType>(
  store: Pick<IdentityReader, 'get'>,
  { type, organization, name }: RecordAddress<T>,
): Promise<IdentityRecord<T> | 'damaged' | undefined> {
  try {
    return await store.get(type, organization, name)
  } catch (error) {
    if (isDomainError(error, 'record-damaged')) return 'damaged'
    throw error
  }
}
