import type { Qos } from './access-rule.ts'

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
  readonly filter: string
  /** How long its body is: what a topic of it has to begin with, the filter without `/#`. */
  readonly body: number
  /** What may follow the body. */
  readonly end: 'nothing' | 'levels' | 'anything'
  /** How long the body is up to its first `+`: so far it and a topic go in step. */
  readonly literal: number
  /** How much of the body it shares with the one before it. */
  shared: number
  /** The next one that shares less than this: all between share at least as much. */
  next: number
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
      placed.sort((left, right) => (left.filter < right.filter ? -1 : 1))
      relate(placed)
    }
    this.#placed = placed
  }

  /**
   * The first entry, in their order, whose filter the topic belongs to and that speaks of such a message. The
   * topic must not lie under a `$` root.
   */
  first(topic: string, qos: Qos, retain: boolean): E | undefined {
    const placed = this.#placed
    let best: Placed<E> | undefined
    // Where the last body and the topic went apart; its length where they did not.
    let apart = 0
    for (let index = 0; index < placed.length;) {
      const each = placed[index] as Placed<E>
      if (each.shared > apart) {
        index = each.next
        continue
      }
      index += 1
      const position = walk(each, topic)
      apart = position < 0 ? each.body : position
      if (position >= 0 || !mayEndAt(-1 - position, each.end, topic)) continue
      const { entry } = each
      if (qos > entry.maxQos || (retain && !entry.retain)) continue
      if (best === undefined || each.order < best.order) best = each
    }
    return best?.entry
  }
}

const plus = 0x2b
const slash = 0x2f

/**
 * Where in the body the topic went apart from it; where it did not, -1 less the length of the topic that the
 * body has used up. What the body shares with the one before it is not looked at.
 */
function walk({ filter, body, literal, shared }: Placed<Entry>, topic: string): number {
  const { length } = topic
  let at = shared < literal ? shared : literal
  for (; at < literal; at += 1) {
    if (at >= length || filter.charCodeAt(at) !== topic.charCodeAt(at)) return at
  }
  let used = at
  for (; at < body; at += 1) {
    const code = filter.charCodeAt(at)
    if (code === plus) {
      while (used < length && topic.charCodeAt(used) !== slash) used += 1
    } else {
      if (used >= length || topic.charCodeAt(used) !== code) return at
      used += 1
    }
  }
  return -1 - used
}

/** `a/#` holds `a` too (§4.7.1.2). */
function mayEndAt(used: number, end: Placed<Entry>['end'], topic: string): boolean {
  return used === topic.length || end === 'anything' || (end === 'levels' && topic.charCodeAt(used) === slash)
}

function place<E extends Entry>(entry: E, order: number): Placed<E> {
  const { filter } = entry
  const end = filter === '#' ? 'anything' : filter.endsWith('/#') ? 'levels' : 'nothing'
  const body = filter.length - ends[end]
  const wildcard = filter.indexOf('+')
  return {
    entry,
    order,
    filter,
    body,
    end,
    literal: wildcard === -1 ? body : wildcard,
    shared: 0,
    next: order + 1,
  }
}

const ends = { nothing: 0, levels: '/#'.length, anything: '#'.length } as const

/** Of sorted ones: what each shares with the one before it, and where to go on after it. */
function relate(placed: readonly Placed<Entry>[]): void {
  for (let index = 1; index < placed.length; index += 1) {
    const each = placed[index] as Placed<Entry>
    each.shared = sharedBy(placed[index - 1] as Placed<Entry>, each)
  }
  for (let index = placed.length - 1; index >= 0; index -= 1) {
    const each = placed[index] as Placed<Entry>
    each.next = index + 1
    while ((placed[each.next]?.shared ?? -1) >= each.shared)
      each.next = placed[each.next]?.next ?? placed.length
  }
}

function sharedBy(before: Placed<Entry>, each: Placed<Entry>): number {
  const most = Math.min(before.body, each.body)
  let length = 0
  while (length < most && before.filter.charCodeAt(length) === each.filter.charCodeAt(length)) length += 1
  return length
}
