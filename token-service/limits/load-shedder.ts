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
/** Fewer that are being answered are no overload: they wait for somebody else who has the processor. */
const manyFrom = 100
const smallestShare = 0.02

/**
 * Which share of the requests is let in. When the loop has no rest any more and its turns grow, the share shrinks until
 * those that are let in are quick again; then it grows, a little at a time. The others are refused before anything is
 * done for them, spread evenly.
 */
export class LoadShedder {
  #underWay = 0
  #share = 1
  #credit = 0
  #smoothedMs = 0

  /** Whether the next request is let in; `done` once it is answered. */
  admit(): boolean {
    if (this.#share < 1) {
      this.#credit += this.#share
      if (this.#credit < 1) return false
      this.#credit -= 1
    }
    this.#underWay += 1
    return true
  }

  done(): void {
    this.#underWay -= 1
  }

  /** To be called several times a second. */
  observe({ lateMs, utilization }: LoopState): void {
    // One pause, such as of the garbage collector, is no overload.
    this.#smoothedMs += 0.3 * (lateMs - this.#smoothedMs)
    const isSlow = utilization >= busyFrom && this.#smoothedMs > longestTurnMs
    if (isSlow && this.#underWay >= manyFrom) {
      this.#share = Math.max(smallestShare, this.#share * 0.8)
    } else if (this.#share < 1) {
      this.#share = Math.min(1, this.#share * 1.03 + 0.005)
    }
  }

  get share(): number {
    return this.#share
  }
}
