import type { Qos } from './access-rule.ts'
import { matches } from './topic-filter.ts'

/** A filter of a rule, and what it is asked for. */
export interface Entry {
  readonly filter: string
  /** Highest QoS that it speaks of. */
  readonly maxQos: Qos
  /** Whether it speaks of retained messages. */
  readonly retain: boolean
}

interface Placed<E extends Entry> {
  readonly entry: E
  /** Where it stood before sorting. */
  readonly order: number
  readonly reach: 'topic' | 'subtree' | 'all' | 'pattern'
  /** How many characters of the filter every topic of it begins with. */
  readonly literal: number
  /** How many of these it shares with the one before it. */
  shared: number
}

/**
 * Filters that are asked on every message for the first one that a topic belongs to. They are sorted, and each
 * knows how much of its beginning it shares with the one before: what that one has shown of the topic is not
 * compared again, and most are passed over at one glance. Asking allocates nothing.
 */
export class FilterSet<E extends Entry> {
  /** In the order in which they were given. */
  readonly entries: readonly E[]
  readonly #placed: readonly Placed<E>[]

  constructor(entries: readonly E[]) {
    this.entries = entries
    const placed = entries.map(place)
    if (placed.length > 1) {
      placed.sort((left, right) => (left.entry.filter < right.entry.filter ? -1 : 1))
      for (let index = 1; index < placed.length; index += 1) {
        const each = placed[index] as Placed<E>
        each.shared = sharedBy(placed[index - 1] as Placed<E>, each)
      }
    }
    this.#placed = placed
  }

  /**
   * The first entry, in their order, whose filter the topic belongs to and that speaks of
   * such a message. The topic must not lie under a `$` root.
   */
  first(topic: string, qos: Qos, retain: boolean): E | undefined {
    const placed = this.#placed
    const length = topic.length
    let best: Placed<E> | undefined
    // How many characters of the last filter the topic begins with.
    let begun = 0
    for (let index = 0; index < placed.length; index += 1) {
      const each = placed[index] as Placed<E>
      const { shared, literal } = each
      if (shared > begun) continue
      const { entry } = each
      const { filter } = entry
      begun = shared
      while (begun < literal && begun < length && filter.charCodeAt(begun) === topic.charCodeAt(begun))
        begun += 1
      if (begun < literal || !reaches(each, topic)) continue
      if (qos > entry.maxQos || (retain && !entry.retain)) continue
      if (best === undefined || each.order < best.order) best = each
    }
    return best?.entry
  }
}

/** The topic begins as the filter does: is it one of its topics? */
function reaches<E extends Entry>({ reach, literal, entry }: Placed<E>, topic: string): boolean {
  switch (reach) {
    case 'topic':
      return topic.length === literal
    case 'subtree':
      return topic.length === literal || topic.charCodeAt(literal) === slash
    case 'all':
      return true
    case 'pattern':
      return matches(entry.filter, topic)
  }
}

const slash = 0x2f

function place<E extends Entry>(entry: E, order: number): Placed<E> {
  const { filter } = entry
  const plus = filter.indexOf('+')
  if (plus !== -1) return { entry, order, reach: 'pattern', literal: plus, shared: 0 }
  if (filter === '#') return { entry, order, reach: 'all', literal: 0, shared: 0 }
  // `a/#` holds `a` too (§4.7.1.2).
  if (filter.endsWith('/#')) return { entry, order, reach: 'subtree', literal: filter.length - 2, shared: 0 }
  return { entry, order, reach: 'topic', literal: filter.length, shared: 0 }
}

function sharedBy(before: Placed<Entry>, each: Placed<Entry>): number {
  const most = Math.min(before.literal, each.literal)
  let length = 0
  while (length < most && before.entry.filter.charCodeAt(length) === each.entry.filter.charCodeAt(length))
    length += 1
  return length
}
