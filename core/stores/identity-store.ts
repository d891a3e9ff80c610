import type { ApiKeyRecord } from '#core/credentials/api-key-record.ts'
import type { IssuedEnd } from '#core/credentials/barrier.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { IdentityRecord, IdentityRecordType } from './identity-records.ts'
import type { Tombstone } from './tombstone.ts'

/**
 * Organizations, users, access lists, providers and API keys: what the operator derives from resources and
 * the data plane reads. Records are addressed by (type, organization, name); names are compared exactly.
 *
 * Every method rejects with a DomainError: `store-unavailable` when the store did not answer (nothing is
 * known then: never read it as absence), `record-damaged` when what it holds is no such record.
 */
export interface IdentityReader {
  get<T extends IdentityRecordType>(
    type: T,
    organization: OrganizationId,
    name: string,
  ): Promise<IdentityRecord<T> | undefined>

  /** Those of the names that exist. One round trip. */
  getMany<T extends IdentityRecordType>(
    type: T,
    organization: OrganizationId,
    names: readonly string[],
  ): Promise<ReadonlyMap<string, IdentityRecord<T>>>

  /** All of one type, by name. */
  list<T extends IdentityRecordType>(
    type: T,
    organization: OrganizationId,
  ): Promise<ReadonlyMap<string, IdentityRecord<T>>>

  /** How many there are of one type. */
  count(type: IdentityRecordType, organization: OrganizationId): Promise<number>

  /** The record as it was read last, without asking the store: by now it may be another one, or gone. */
  recall<T extends IdentityRecordType>(
    type: T,
    organization: OrganizationId,
    name: string,
  ): IdentityRecord<T> | undefined

  /** Names the text that this record was read from. Undefined where no record outlives what it was read for. */
  versionOf(record: object): string | undefined

  /** The API key whose secret this is; undefined for any other text. */
  findApiKey(secret: string): Promise<FoundApiKey | undefined>

  /**
   * False until a writer has said that everything is there: a missing record then means 'not yet', never
   * 'unknown user'.
   */
  isReady(): Promise<boolean>

  /** Every organization that has a record of any type. */
  organizations(): Promise<readonly OrganizationId[]>

  /** Of an organization whose record was removed; undefined while there is one, and once nobody needs it. */
  tombstoneOf(organization: OrganizationId): Promise<Tombstone | undefined>

  /** All there are, perhaps a little late in leaving out one that is no more. */
  tombstones(): Promise<readonly Tombstone[]>
}

export interface FoundApiKey {
  readonly organization: OrganizationId
  readonly name: string
  readonly record: ApiKeyRecord
}

export interface RemoveOptions {
  /** What was issued under it lives on: the record is missing for a while only. */
  readonly keepsIssued?: boolean
}

/**
 * The operator's side. Each change becomes one entry in the control log, and repeating it does no harm. In the place of
 * an organization's own record a tombstone stands from the moment of its removal, and goes when there is a record again.
 */
export interface IdentityWriter extends IdentityReader {
  /**
   * Resolves with whether anything changed, once the change is in the control log. `end`: where it changes anything,
   * what was issued under the record by then ends in the same step.
   */
  put<T extends IdentityRecordType>(
    type: T,
    organization: OrganizationId,
    name: string,
    record: IdentityRecord<T>,
    end?: IssuedEnd,
  ): Promise<boolean>

  /** With a record ends, for good and in the same step, what was issued under it. */
  remove(
    type: IdentityRecordType,
    organization: OrganizationId,
    name: string,
    options?: RemoveOptions,
  ): Promise<boolean>

  /** Nobody needs this tombstone any more; no other of the organization is touched. */
  forget(tombstone: Tombstone): Promise<void>

  /** Names of all records of one type, damaged ones too. */
  names(type: IdentityRecordType, organization: OrganizationId): Promise<readonly string[]>

  /**
   * Those of the names whose record is gone, or is another than that of the fingerprint (`recordFingerprint`), or can not be found by who
   * looks for it. Asks for many at once.
   */
  drifted(
    type: IdentityRecordType,
    organization: OrganizationId,
    fingerprints: ReadonlyMap<string, string>,
  ): Promise<readonly string[]>

  /** Says that every record is there. */
  markReady(): Promise<void>
}
