import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { Tombstone } from './tombstone.ts'

/**
 * - `deserted` no replica has clients of the organization any more
 * - `purged`   nothing of it is left that could be found
 * - `settled`  a while later there was another look: nobody writes there any more
 */
export const purgeStates = ['deserted', 'purged', 'settled'] as const
export type PurgeState = (typeof purgeStates)[number]

export interface PurgeMark {
  /** Id of the tombstone that it is about. */
  readonly tombstone: string
  readonly state: PurgeState
  /** In ms of the store's clock. */
  readonly at: number
}

/** How far brokers are with what organizations have left: they write it, the operator reads it. Rejections as in IdentityReader. */
export interface PurgeMarks {
  all(): Promise<ReadonlyMap<OrganizationId, PurgeMark>>
  of(organization: OrganizationId): Promise<PurgeMark | undefined>
  /** Whether a broker lives that could do it. */
  hasBroker(): Promise<boolean>
  mark(tombstone: Tombstone, state: PurgeState, at: number): Promise<void>
  /** Nobody needs it any more. */
  forget(organization: OrganizationId, mark: PurgeMark): Promise<void>
  /** One replica at a time removes: whether it is this one, for so many ms from now. */
  lease(replica: string, ms: number): Promise<boolean>
  release(replica: string): Promise<void>
}

/** Whether what this tombstone stands for is removed. */
export function isPurged(mark: PurgeMark | undefined, { id }: Pick<Tombstone, 'id'>): boolean {
  return mark?.tombstone === id && mark.state !== 'deserted'
}
