import type { IssuedEnd } from '#core/credentials/barrier.ts'
import type { ResourceKindName, ResourceOf } from '#core/resources/index.ts'
import type { IdentityRecord, IdentityRecordType } from '#core/stores/identity-records.ts'
import type { Readiness } from './readiness.ts'
import type { ResourceAddress, ResourceName } from './reconciler.ts'
import type { RecordAddress } from './record-ledger.ts'

/** Each object of a kind becomes at most one record, of this type. */
export const recordTypes = {
  Organization: 'organization',
  AccessList: 'access-list',
  IdentityProvider: 'provider',
  ApiKey: 'api-key',
  MqttUser: 'user',
} as const satisfies Record<ResourceKindName, IdentityRecordType>

export type RecordTypeOf = typeof recordTypes
export type RecordOf<K extends ResourceKindName> = IdentityRecord<RecordTypeOf[K]>

/**
 * What is special about one kind: what has to be known of the world, what follows from it, and whom a change
 * concerns. The steps around it are the same for all and stand in `createReconciler`.
 */
export interface KindReconciler<K extends ResourceKindName, Facts> {
  readonly kind: K

  /** Whether a deleted object has to stay until its record is gone: nothing else ends what the record allows. */
  readonly needsFinalizer: boolean

  /** Where the object's record stands, or would; undefined while it belongs to no Organization. */
  claimOf(resource: ResourceOf[K]): RecordAddress<RecordTypeOf[K]> | undefined

  /** Whether the record is this object's and not that of an older one which wants the same. */
  holdsClaim(resource: ResourceOf[K]): boolean

  /** Reads what the decision takes, and makes what must exist before a record may. */
  gather(resource: ResourceOf[K]): Promise<Facts>

  /** Pure. */
  decide(resource: ResourceOf[K], facts: Facts): Decision<K>

  /** Whether the record outlives the object. */
  retains?(resource: ResourceOf[K]): boolean

  /** What has to go beside the object's own record once that is gone. */
  afterRemoval?(address: RecordAddress<RecordTypeOf[K]>): Promise<void>

  /** What a deleted object waits for once its record is gone; undefined when there is nothing, or nobody who does it. */
  awaits?(resource: ResourceOf[K]): Promise<Readiness | undefined>

  /** See Reconciler. */
  dependents(of: ResourceName): readonly ResourceAddress[]
}

/**
 * What becomes of the record of whoever may not belong to its Organization. That of an Organization which is not there
 * goes with it: by its end, or by the sweep, when it is only missing.
 */
export function recordOfRefused({ reason }: Readiness): 'keep' | 'remove' {
  return reason === 'OrganizationNotFound' ? 'keep' : 'remove'
}

/** How soon there is another look at what others have to do first. */
export const lookAgainMs = 500

export interface DecidedEnd {
  readonly end: IssuedEnd
  /** For people. */
  readonly why: string
}

export interface Decision<K extends ResourceKindName> {
  /**
   * - a record  is written
   * - `keep`    what stands in the store stays as it is
   * - `remove`  there must be none
   * - `withdraw` there must be none now; it may be back soon, and what was issued under it lives on
   * - `release` the claim is another's: only what this object itself has written goes
   */
  readonly record: RecordOf<K> | 'keep' | 'remove' | 'withdraw' | 'release'
  /** What was issued under the record that stands there ends when this one takes its place. */
  readonly end?: DecidedEnd | undefined
  readonly ready: Readiness
  /** Beside conditions and observedGeneration. */
  readonly status: Omit<NonNullable<ResourceOf[K]['status']>, 'conditions' | 'observedGeneration'>
  readonly againAfterMs?: number
}
