import { atEndOfTurn } from '#core/process/end-of-turn.ts'
import type { RoutedMessage } from '../aedes/messages.ts'
import { type Ask, encodeBatch } from './frames.ts'
import { type RingLimits, type RingTotal, SentBatches } from './sent-batches.ts'

export interface OutboxOptions {
  readonly sender: Buffer
  /** Number of the last batch that is not this outbox's. */
  readonly after: number
  readonly limits: RingLimits
  readonly total: RingTotal
  readonly publish: (batch: Buffer, sequence: number) => Promise<void>
  readonly now: () => number
}

/** What of an ask can be answered. */
export interface Found {
  readonly sequence: number
  readonly lost: number
  readonly batches: readonly Buffer[]
}

/** One answer at a time, or what should help a slow replica would overrun it once more. */
const longestAnswerBytes = 1_048_576

/**
 * An ask says how old something is when it is sent, and is read later: rather a message from just before than none
 * of those from just after.
 */
const askSlackMs = 1_000

/**
 * What this replica sends of one organization. What one turn of the event loop sends is one batch, and shares
 * one answer. A batch that may not have reached Redis keeps its number and its place in the ring: nobody was
 * told that it was sent, and nobody misses it.
 */
export class Outbox {
  readonly #options: OutboxOptions
  readonly #ring: SentBatches
  readonly #openedAt: number
  #messages: RoutedMessage[] = []
  #sent: Promise<void> = Promise.resolve()
  /** Number of the last batch. */
  sequence: number
  /** Its number was told after it was sent. */
  isAnnounced = true

  constructor(options: OutboxOptions) {
    this.#options = options
    this.#ring = new SentBatches(options.limits, options.total)
    this.sequence = options.after
    this.#openedAt = options.now()
  }

  /** Nothing waits to be sent, and nobody can ask for anything. */
  get isIdle(): boolean {
    return this.#messages.length === 0 && this.isAnnounced && this.#ring.isEmpty
  }

  add(message: RoutedMessage): Promise<void> {
    this.#messages.push(message)
    if (this.#messages.length === 1) {
      this.#sent = new Promise((resolve, reject) => {
        atEndOfTurn(() => void this.#flush().then(resolve, reject))
      })
    }
    return this.#sent
  }

  prune(): void {
    this.#ring.prune(this.#options.now())
  }

  find({ sequence, last, age }: Ask): Found {
    const { now, after } = this.#options
    const since = now() - age - askSlackMs
    const isAll = sequence === 0
    const wanted = isAll ? this.#firstSince(since) : sequence
    const first = Math.max(wanted, this.#ring.first ?? this.sequence + 1)
    const end = isAll ? this.sequence : last
    // What is before this outbox was never sent.
    const lost = Math.max(0, Math.min(first, end + 1) - Math.max(wanted, after + 1))
    return { sequence: first, lost, batches: this.#ring.take(first, end, longestAnswerBytes) }
  }

  #firstSince(time: number): number {
    if (this.#openedAt > time) return this.#options.after + 1
    return this.#ring.firstAfter(time) ?? this.sequence + 1
  }

  async #flush(): Promise<void> {
    const { sender, now, publish } = this.#options
    const messages = this.#messages
    this.#messages = []
    this.sequence += 1
    this.isAnnounced = false
    const batch = encodeBatch(sender, this.sequence, messages)
    this.#ring.add(this.sequence, batch, now())
    await publish(batch, this.sequence)
  }
}
