import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { identityRecordTypes } from './identity-records.ts'

export const controlEntryTypes = [
  ...identityRecordTypes,
  'credential',
  'barrier',
  'principal',
  'session',
] as const

/**
 * What changed, as a log that every broker replica follows. An entry only names a record; its reader looks at
 * the record itself, so that entries may come twice, late or merged.
 *
 * Two name what is no record, as a `Moment`, beyond which they do not reach: a `principal` whose last credential was
 * revoked, and a `session` that was ended.
 */
export interface ControlEntry {
  readonly type: (typeof controlEntryTypes)[number]
  readonly organization: OrganizationId
  readonly name: string
}

/** A replica that could not read the log for so long serves nobody; until then it may still have clients. */
export const longestStalenessMs = 60_000

/** Somebody or something as it was until then. */
export interface Moment {
  /** Ms since the epoch. */
  readonly at: number
  readonly of: string
}

export const formatMoment = ({ at, of }: Moment): string => `${at} ${of}`

export function parseMoment(name: string): Moment | undefined {
  const [, at, of] = /^(\d{1,15}) (.+)$/s.exec(name) ?? []
  return at === undefined || of === undefined ? undefined : { at: Number(at), of }
}

export interface ControlLogWriter {
  /** Resolves with the entry's position once it is in the log; rejects with `store-unavailable`. */
  append(entry: ControlEntry): Promise<string>
}

/** What became of the entries of one act. */
export interface Applied {
  /** Connections that ended for them, where that is known. */
  readonly ended: number
  /** Replicas that live and have not done everything up to the last one. */
  readonly missing: readonly string[]
}

export interface ControlLogWitness {
  /**
   * Resolves once every replica that lives has done all up to the last of these positions, which are of one act, or
   * with those missing when the time is over. Rejects with `store-unavailable`.
   */
  applied(positions: readonly string[], timeoutMs: number): Promise<Applied>
}

export interface ControlLogHandler {
  /**
   * In the order of the log; `at` is when it was appended, by the store's clock. Resolves with how many connections
   * ended for it. Must not throw or reject.
   */
  entry(entry: ControlEntry, at: number): Promise<number> | void
  /** Entries were missed and can not be had any more: look at everything again. Must not throw or reject. */
  gap(): Promise<number> | void
}

export interface ControlLogReader {
  /**
   * Tells the handler of every entry appended after this resolved, through cuts of the connection, until
   * closed. Rejects with `store-unavailable` when it can not even begin. What is done is reported as `replica`, which
   * also hears of what no replica had reported before it.
   */
  follow(handler: ControlLogHandler, replica?: string): Promise<ControlLogSubscription>
}

export interface ControlLogSubscription {
  /** Milliseconds since the log was last read to its end: how old this replica's knowledge may be. */
  staleness(): number
  close(): Promise<void>
}

export type ControlLog = ControlLogWriter & ControlLogReader & ControlLogWitness
