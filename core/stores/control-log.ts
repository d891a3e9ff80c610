import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { identityRecordTypes } from './identity-records.ts'

export const controlEntryTypes = [...identityRecordTypes, 'credential'] as const

/**
 * What changed, as a log that every broker replica follows. An entry only names a record; its reader looks at
 * the record itself, so that entries may come twice, late or merged.
 */
export interface ControlEntry {
  readonly type: (typeof controlEntryTypes)[number]
  readonly organization: OrganizationId
  readonly name: string
}

export interface ControlLogWriter {
  /** Resolves once the entry is in the log; rejects with `store-unavailable`. */
  append(entry: ControlEntry): Promise<void>
}

export interface ControlLogHandler {
  /** In the order of the log. Must not throw. */
  entry(entry: ControlEntry): void
  /** Entries were missed and can not be had any more: look at everything again. */
  gap(): void
}

export interface ControlLogReader {
  /**
   * Tells the handler of every entry appended after this resolved, through cuts of the connection, until
   * closed. Rejects with `store-unavailable` when it can not even begin.
   */
  follow(handler: ControlLogHandler): Promise<ControlLogSubscription>
}

export interface ControlLogSubscription {
  /** Milliseconds since the log was last read to its end: how old this replica's knowledge may be. */
  staleness(): number
  close(): Promise<void>
}

export type ControlLog = ControlLogWriter & ControlLogReader
