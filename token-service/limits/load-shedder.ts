/** What the event loop went through since it was asked last. */
export interface LoopState {
  /** How much later than due a timer ran: about as long as one turn of the loop takes. */
  readonly lateMs: number
  /** Share of the time that it was busy, from 0 to 1. */
  readonly utilization: number
}

/** Turns of the loop may take so long: an exchange takes a few of them. */
const longestTurnMs = 40
const busyFrom = 0.9
const smallestShare = 0.02

/**
 * Which share of the requests is let in. When the loop has no rest any more and its turns grow, the share shrinks until
 * those that are let in are quick again; then it grows, a little at a time. The others are refused before anything is
 * done for them, spread evenly.
 */
export class LoadShedder {
  #share = 1
  #credit = 0
  #smoothedMs = 0

  /** Whether the next request is let in. */
  admit(): boolean {
    if (this.#share === 1) return true
    this.#credit += this.#share
    if (this.#credit < 1) return false
    this.#credit -= 1
    return true
  }

  /** To be called several times a second. */
  observe({ lateMs, utilization }: LoopState): void {
    // One pause, such as of the garbage collector, is no overload.
    this.#smoothedMs += 0.3 * (lateMs - this.#smoothedMs)
    if (utilization >= busyFrom && this.#smoothedMs > longestTurnMs) {
      this.#share = Math.max(smallestShare, this.#share * 0.8)
    } else if (this.#share < 1) {
      this.#share = Math.min(1, this.#share * 1.03 + 0.005)
    }
  }

  get share(): number {
    return this.#share
  }
}
