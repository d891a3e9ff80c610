export interface SolitudeOptions {
  /** Whether a replica that lives, beside this one, has clients of the organization, or may have some. */
  readonly isServedElsewhere: () => Promise<boolean>
  readonly now: () => number
}

/** Ms for which it holds that nobody else was there when a batch was sent. */
export const solitudeMs = 100

const askAgainMs = 1_000

/**
 * Knows, for moments, that nobody but this replica follows an organization: then nothing needs to be sent. A
 * batch that exactly one connection received, and that came back, shows it for a little while from when it was
 * sent. Who joins waits until all that were there before have heard of it, or for as long as that while.
 */
export class Solitude {
  readonly #options: SolitudeOptions
  /** Batches that one connection received and that have not come back: number to when it was sent. */
  readonly #single = new Map<number, number>()
  /** Batches that came back before it is known how many connections received them. */
  readonly #returned = new Set<number>()
  #until = -Infinity
  #disturbedAt = -Infinity
  #askedAt = -Infinity
  /** The replicas that live were asked, and nothing was heard of another one since. */
  #isConfirmed = false

  constructor(options: SolitudeOptions) {
    this.#options = options
  }

  get isCertain(): boolean {
    return this.#until !== -Infinity && this.#options.now() < this.#until
  }

  /** Undefined for a number that is not known: then nothing follows from it. */
  received(sequence: number, sentAt: number, connections: number | undefined): void {
    if (connections !== 1) this.disturb()
    else if (this.#returned.delete(sequence)) this.#seen(sentAt)
    else this.#single.set(sequence, sentAt)
  }

  cameBack(sequence: number): void {
    const sentAt = this.#single.get(sequence)
    if (sentAt === undefined) {
      this.#returned.add(sequence)
    } else {
      this.#single.delete(sequence)
      this.#seen(sentAt)
    }
  }

  /** Another one was heard, or may have been missed. */
  disturb(): void {
    this.#until = -Infinity
    this.#disturbedAt = this.#options.now()
    this.#isConfirmed = false
    this.#single.clear()
    this.#returned.clear()
  }

  #seen(sentAt: number): void {
    if (sentAt <= this.#disturbedAt) return
    if (this.#isConfirmed) this.#until = sentAt + solitudeMs
    else void this.#confirm()
  }

  /** A replica that was cut off just now receives nothing, and still has clients. */
  async #confirm(): Promise<void> {
    const { now, isServedElsewhere } = this.#options
    const disturbedAt = this.#disturbedAt
    if (now() - this.#askedAt < askAgainMs) return
    this.#askedAt = now()
    const isElsewhere = await isServedElsewhere().catch(() => true)
    if (!isElsewhere && this.#disturbedAt === disturbedAt) this.#isConfirmed = true
  }
}
