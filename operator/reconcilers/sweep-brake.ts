import { createHash } from 'node:crypto'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { keyOfRecord, type RecordAddress } from './record-ledger.ts'

/** What a sweep found of one organization. */
export interface OrganizationOrphans {
  readonly organization: OrganizationId
  readonly records: number
  /** Records that no object stands for. */
  readonly orphans: readonly RecordAddress[]
  /** How many sweeps have removed not long ago. */
  readonly removedBefore: number
  /** They went with their whole kind. */
  readonly isDoubtful: boolean
}

/** How much one sweep removes without asking. */
export interface BrakeLimits {
  /** Of the records of an organization, and of all; 1 for no brake. */
  readonly share: number
  /** So many always, or nobody could remove the third of three lists. */
  readonly floor: number
}

export const usualLimits: BrakeLimits = { share: 0.2, floor: 10 }

/** Orphans that stay until somebody confirms. */
export interface HeldRemoval {
  /** Names this very set of records: confirming it removes these and no others. */
  readonly token: string
  readonly orphans: readonly RecordAddress[]
  readonly organizations: readonly OrganizationId[]
  /** All records there are, of those organizations. */
  readonly records: number
}

export interface Judgement {
  /** Within the limits. */
  readonly remove: readonly RecordAddress[]
  /** Beyond them, and somebody said yes. */
  readonly confirmed: readonly RecordAddress[]
  readonly held?: HeldRemoval
}

/**
 * Whether orphans may go. That something is missing proves little: an API server that was restored, or asked in the
 * wrong place, shows an empty list as well. So when much is missing at once, of one organization or of all together,
 * or with its whole kind, nothing of it is removed. Pure.
 */
export function judgeOrphans(
  found: readonly OrganizationOrphans[],
  limits: BrakeLimits,
  isConfirmed: (token: string) => boolean,
): Judgement {
  const affected = found.filter(({ orphans }) => orphans.length > 0)
  const isMuch = (records: number, orphans: number, before: number): boolean =>
    orphans + before > limits.floor && orphans + before > (records + before) * limits.share
  const isMuchInAll = isMuch(
    sumOf(found, ({ records }) => records),
    sumOf(affected, ({ orphans }) => orphans.length),
    sumOf(found, ({ removedBefore }) => removedBefore),
  )
  const held = affected.filter(
    ({ records, orphans, removedBefore, isDoubtful }) =>
      isMuchInAll || isDoubtful || isMuch(records, orphans.length, removedBefore),
  )
  const free = affected.filter((each) => !held.includes(each)).flatMap(({ orphans }) => orphans)
  if (held.length === 0) return { remove: free, confirmed: [] }
  const orphans = held.flatMap((each) => each.orphans)
  const token = tokenOf(orphans)
  if (isConfirmed(token)) return { remove: free, confirmed: orphans }
  const organizations = held.map(({ organization }) => organization)
  return {
    remove: free,
    confirmed: [],
    held: { token, orphans, organizations, records: sumOf(held, (each) => each.records) },
  }
}

function tokenOf(orphans: readonly RecordAddress[]): string {
  const text = orphans.map(keyOfRecord).toSorted().join('\n')
  return createHash('sha256').update(text).digest('hex').slice(0, 10)
}

function sumOf<T>(items: readonly T[], valueOf: (item: T) => number): number {
  return items.reduce((sum, item) => sum + valueOf(item), 0)
}
