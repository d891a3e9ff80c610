/**
 * How long to wait before trying something again: 0.8 s, doubling, each value up to twice that by chance so that
 * many clients do not return together, 30 s at most. `reset` starts again.
 */
import type { Random } from './time.ts'

const firstMs = 800
const lastMs = 15_000

export class Backoff {
  readonly #random: Random
  #baseMs = firstMs

  constructor(random: Random) {
    this.#random = random
  }

  /** Milliseconds, never less than `atLeastMs`. */
  next(atLeastMs = 0): number {
    const delay = this.#baseMs * (1 + this.#random())
    this.#baseMs = Math.min(this.#baseMs * 2, lastMs)
    return Math.max(delay, atLeastMs)
  }

  reset(): void {
    this.#baseMs = firstMs
  }
}
