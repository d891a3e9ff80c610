import type { Tombstone } from '#core/stores/tombstone.ts'

/** What organizations that are gone have left, beside the operator's records. */
export interface Remains {
  /**
   * Removes what these tombstones let go, and nothing of an organization whose tombstone does not stand any more. Does it
   * in steps that keep nobody else waiting, and says after each how much went. Where it is left in the middle, or two do it
   * at once, it is done again from the beginning, which does no harm. Rejects with `store-unavailable`.
   */
  remove(tombstones: readonly Tombstone[]): AsyncIterable<number>
}

/** Of credentials: what lets somebody in. What refuses somebody, such as barriers, is not among it. */
const letsIn = /^tmp:(tmp_|of:)/

/** Whether what stands under this name, after the prefix of its organization, goes. */
export function isLetGo(name: string, { retains }: Pick<Tombstone, 'retains'>): boolean {
  return retains ? letsIn.test(name) : name.startsWith('mq:') || name.startsWith('tmp:')
}
