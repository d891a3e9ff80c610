import type { Outcome } from './fault.ts'

/** What was acknowledged, what came, and when. Times are in ms of the event loop. */
export class Tally {
  readonly #acked = new Set<string>()
  readonly #received = new Set<string>()
  /** When each subscriber got something last, since `watch`. */
  readonly #lastAt = new Map<number, number>()
  #duplicates = 0
  #longestGapMs = 0

  get acked(): number {
    return this.#acked.size
  }

  /** Acknowledged, and not delivered until now. */
  get missing(): number {
    return this.#acked.difference(this.#received).size
  }

  acknowledged(message: string): void {
    this.#acked.add(message)
  }

  /** From now on, times without a message count for these. */
  watch(subscribers: number, now: number): void {
    for (let index = 0; index < subscribers; index += 1) this.#lastAt.set(index, now)
  }

  came(subscriber: number, message: string, now: number): void {
    if (this.#received.has(message)) this.#duplicates += 1
    this.#received.add(message)
    const before = this.#lastAt.get(subscriber)
    if (before === undefined) return
    this.#longestGapMs = Math.max(this.#longestGapMs, now - before)
    this.#lastAt.set(subscriber, now)
  }

  /** Nobody publishes any more: the times without a message end here. */
  unwatch(now: number): void {
    for (const before of this.#lastAt.values())
      this.#longestGapMs = Math.max(this.#longestGapMs, now - before)
    this.#lastAt.clear()
  }

  outcome(name: string): Outcome {
    return {
      name,
      acked: this.acked,
      lost: this.missing,
      duplicates: this.#duplicates,
      longest_gap_ms: Math.round(this.#longestGapMs),
    }
  }
}
