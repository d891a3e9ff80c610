interface Sent {
  readonly sequence: number
  readonly at: number
  readonly bytes: Buffer
}

export interface RingLimits {
  /** Of one organization. */
  readonly maxBytes: number
  /** Of all organizations of this replica together. */
  readonly maxTotalBytes: number
  readonly maxAgeMs: number
}

/** What all rings of a replica hold. */
export interface RingTotal {
  bytes: number
}

/** The last batches that were sent of one organization, for those who missed some. */
export class SentBatches {
  readonly #limits: RingLimits
  readonly #total: RingTotal
  #sent: Sent[] = []
  /** Where the ring begins in `#sent`: taking from the front of an array moves all that follows. */
  #start = 0
  #bytes = 0

  constructor(limits: RingLimits, total: RingTotal) {
    this.#limits = limits
    this.#total = total
  }

  add(sequence: number, bytes: Buffer, now: number): void {
    this.#sent.push({ sequence, at: now, bytes })
    this.#bytes += bytes.length
    this.#total.bytes += bytes.length
    this.prune(now)
  }

  /** Forgets what is too old or too much. */
  prune(now: number): void {
    const { maxBytes, maxTotalBytes, maxAgeMs } = this.#limits
    for (let oldest = this.#sent[this.#start]; oldest !== undefined; oldest = this.#sent[this.#start]) {
      const isTooMuch = this.#bytes > maxBytes || this.#total.bytes > maxTotalBytes
      if (!isTooMuch && now - oldest.at <= maxAgeMs) break
      this.#start += 1
      this.#bytes -= oldest.bytes.length
      this.#total.bytes -= oldest.bytes.length
    }
    if (this.#start > 64 && this.#start * 2 > this.#sent.length) {
      this.#sent = this.#sent.slice(this.#start)
      this.#start = 0
    }
  }

  get isEmpty(): boolean {
    return this.#start === this.#sent.length
  }

  /** Number of the oldest batch that is still here. */
  get first(): number | undefined {
    return this.#sent[this.#start]?.sequence
  }

  /** Number of the first batch that was sent after then; undefined when none was. */
  firstAfter(time: number): number | undefined {
    return this.#sent.slice(this.#start).find(({ at }) => at > time)?.sequence
  }

  /** Batches from `first` to `last`, as many as have room in `maxBytes`; at least one, if there is one. */
  take(first: number, last: number, maxBytes: number): Buffer[] {
    const batches: Buffer[] = []
    let bytes = 0
    // Numbers follow each other without a gap.
    const offset = Math.max(0, first - (this.first ?? first))
    for (let index = this.#start + offset; index < this.#sent.length; index += 1) {
      const sent = this.#sent[index]
      if (sent === undefined || sent.sequence > last) break
      bytes += sent.bytes.length
      if (batches.length > 0 && bytes > maxBytes) break
      batches.push(sent.bytes)
    }
    return batches
  }
}
