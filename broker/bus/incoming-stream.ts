import type { Batch } from './frames.ts'

export interface ReceivedBatch {
  readonly batch: Batch
  /** Its length. */
  readonly bytes: number
}

export interface IncomingStreamOptions {
  readonly deliver: (batch: Batch) => void
  /** Asks the sender for what is missing; from 0: for all since this replica follows the organization. */
  readonly ask: (first: number, last: number) => void
  readonly lost: (batches: number) => void
  /** Nothing was missed since this replica follows the organization: what comes first is the beginning. */
  readonly isComplete: () => boolean
}

const askAgainMs = 1_000
const longestAsks = 5
/** Of what came after a gap. Beyond, it is asked for again when its turn has come. */
const longestHeldBytes = 8_388_608

/**
 * The batches of one sender, put into their order: each is delivered once. What is missing is asked for; what
 * follows it waits. What the sender has no more, or a sender that is gone took with it, is reported as lost.
 */
export class IncomingStream {
  readonly #options: IncomingStreamOptions
  /** Number of the batch that comes next; undefined while it is not known where to begin. */
  #next: number | undefined
  #head = 0
  readonly #held = new Map<number, ReceivedBatch>()
  #heldBytes = 0
  #asks = 0
  #timer: NodeJS.Timeout | undefined

  constructor(options: IncomingStreamOptions) {
    this.#options = options
  }

  received({ batch, bytes }: ReceivedBatch): void {
    this.#take(batch, bytes)
    if (this.#held.size > 0) this.#deliverHeld()
    this.#settle()
  }

  /** The sender's last batch has this number. */
  announced(sequence: number): void {
    this.#head = Math.max(this.#head, sequence)
    // Of one that has sent nothing yet nothing was missed.
    if (sequence === 0 || this.#options.isComplete()) this.#next ??= sequence + 1
    this.#settle()
  }

  /** Of what was asked for, `batches` are those from `first` on; `lost` of those before it are no more. */
  answered(first: number, lost: number, batches: readonly ReceivedBatch[]): void {
    const before = this.#next
    this.#skipTo(first, lost)
    for (const { batch, bytes } of batches) this.#take(batch, bytes)
    this.#deliverHeld()
    // An answer that brought nothing is not answered with a question: the timer asks again.
    if (this.#next !== before) this.#stopAsking()
    this.#settle()
  }

  close(): void {
    this.#stopAsking()
    this.#held.clear()
  }

  #take(batch: Batch, bytes: number): void {
    this.#head = Math.max(this.#head, batch.sequence)
    if (this.#next === undefined && this.#options.isComplete()) this.#next = batch.sequence
    if (batch.sequence === this.#next) {
      this.#next += 1
      this.#options.deliver(batch)
    } else if (this.#next === undefined || batch.sequence > this.#next) {
      this.#hold(batch, bytes)
    }
  }

  #settle(): void {
    const isMissing = this.#next === undefined ? this.#head > 0 : this.#head >= this.#next
    if (!isMissing) this.#stopAsking()
    else if (this.#timer === undefined) this.#ask()
  }

  #ask(): void {
    if (this.#asks >= longestAsks) return this.#giveUp()
    this.#asks += 1
    this.#timer = setTimeout(() => this.#ask(), askAgainMs)
    this.#timer.unref()
    this.#options.ask(this.#next ?? 0, this.#firstHeld() - 1)
  }

  #stopAsking(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#asks = 0
  }

  #giveUp(): void {
    const first = this.#firstHeld()
    this.#stopAsking()
    if (this.#next !== undefined) this.#options.lost(first - this.#next)
    this.#next = first
    this.#deliverHeld()
    this.#settle()
  }

  /** Number of the first batch that waits, or of the one after the last there is. */
  #firstHeld(): number {
    let first = this.#head + 1
    for (const sequence of this.#held.keys()) first = Math.min(first, sequence)
    return first
  }

  #hold(batch: Batch, bytes: number): void {
    if (this.#held.has(batch.sequence) || this.#heldBytes + bytes > longestHeldBytes) return
    this.#held.set(batch.sequence, { batch, bytes })
    this.#heldBytes += bytes
  }

  #release(sequence: number): Batch | undefined {
    const held = this.#held.get(sequence)
    if (held === undefined) return undefined
    this.#held.delete(sequence)
    this.#heldBytes -= held.bytes
    return held.batch
  }

  #deliverHeld(): void {
    for (;;) {
      const batch = this.#next === undefined ? undefined : this.#release(this.#next)
      if (batch === undefined) return
      this.#next = batch.sequence + 1
      this.#options.deliver(batch)
    }
  }

  /** What waits before `first` is not lost. */
  #skipTo(first: number, lost: number): void {
    const next = this.#next ?? first
    if (first < next) return
    const before = [...this.#held.keys()].filter((sequence) => sequence < first).sort((a, b) => a - b)
    for (const sequence of before) {
      const batch = this.#release(sequence)
      if (batch !== undefined) this.#options.deliver(batch)
    }
    this.#next = first
    if (lost > before.length) this.#options.lost(lost - before.length)
  }
}
