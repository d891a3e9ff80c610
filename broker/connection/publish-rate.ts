/** Per second. */
export interface PublishRates {
  readonly messages?: number
  readonly bytes?: number
}

/** What may come at once, as so much of a second's worth. */
const burstMs = 1_000

/**
 * How fast one connection publishes. What comes too fast is not refused: the packet waits, and with it all behind it,
 * until the client stops sending.
 */
export class PublishRate {
  #rates: PublishRates = {}
  /** When as much is allowed again as may come at once, by messages and by bytes; in ms of the event loop. */
  #fullAt = 0
  #bytesFullAt = 0
  #waitedUntil = 0

  get isLimited(): boolean {
    return this.#rates.messages !== undefined || this.#rates.bytes !== undefined
  }

  /** What was sent before counts on. */
  limit(rates: PublishRates): void {
    this.#rates = rates
  }

  /** It has waited: what came before and waits behind it is judged by this time. */
  waited(now: number): void {
    this.#waitedUntil = now
  }

  /**
   * Counts a message of so many bytes that came then. Returns for how many ms it has to wait: Infinity where nothing
   * is allowed.
   */
  take(bytes: number, cameAt: number): number {
    const now = Math.max(cameAt, this.#waitedUntil)
    const { messages, bytes: most } = this.#rates
    if (messages === 0 || most === 0) return Infinity
    let wait = 0
    if (messages !== undefined) {
      this.#fullAt = Math.max(this.#fullAt, now) + 1_000 / messages
      wait = this.#fullAt - now - Math.max(burstMs, 1_000 / messages)
    }
    if (most !== undefined) {
      this.#bytesFullAt = Math.max(this.#bytesFullAt, now) + (bytes * 1_000) / most
      wait = Math.max(wait, this.#bytesFullAt - now - burstMs)
    }
    return Math.max(0, wait)
  }
}
