/** What the event loop went through since it was asked last. */
export interface LoopState {
  /** How much later than due a timer ran: about as long as one turn of the loop takes. */
  readonly lateMs: number
  /** Share of the time that it was busy, from 0 to 1. */
  readonly utilization: number
}

/** Answers may take so long on average, with the turn of the loop that a request waits for before it is read. */
const longestMs = 200
const busyFrom = 0.9
/** Fewer that are being answered are no overload: they wait for somebody else, or for the processor. */
const manyFrom = 100
const smallestShare = 0.02

/**
 * Which share of the requests is let in. When the loop has no rest any more and answers grow slow, the share shrinks
 * until they are quick again; then it grows, a little at a time. The others are refused before anything is done for
 * them, spread evenly.
 */
export class LoadShedder {
  #underWay = 0
  #share = 1
  #credit = 0
  #answered = 0
  #tookMs = 0
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

  done(tookMs: number): void {
    this.#underWay -= 1
    this.#answered += 1
    this.#tookMs += tookMs
  }

  /** To be called several times a second. */
  observe({ lateMs, utilization }: LoopState): void {
    if (this.#answered > 0) {
      const averageMs = this.#tookMs / this.#answered + lateMs
      // One pause, such as of the garbage collector, is no overload.
      this.#smoothedMs += 0.3 * (averageMs - this.#smoothedMs)
      this.#answered = 0
      this.#tookMs = 0
    }
    const isSlow = utilization >= busyFrom && this.#smoothedMs > longestMs
    if (isSlow && this.#underWay >= manyFrom) {
      this.#share = Math.max(smallestShare, this.#share * 0.85)
    } else if (this.#share < 1) {
      this.#share = Math.min(1, this.#share * 1.03 + 0.005)
    }
  }

  get share(): number {
    return this.#share
  }
}
