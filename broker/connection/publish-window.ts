/**
 * QoS 1 messages of one client that are on their way into the store. Several may be under way at a time; each
 * is acknowledged once it is stored, in the order in which they came [MQTT-4.6.0-2].
 */
export class PublishWindow {
  readonly #most: number
  /** In order of arrival. */
  readonly #pending: { readonly acknowledge: () => void; isStored: boolean }[] = []
  #storing = 0
  #waiting: PromiseWithResolvers<void> | undefined

  constructor(most: number) {
    this.#most = most
  }

  /** Some are delivered only once they are stored: what is delivered at once must not overtake them. */
  get isStoring(): boolean {
    return this.#storing > 0
  }

  /** Resolves once nothing is under way. */
  get drained(): Promise<void> | undefined {
    return this.#pending.length === 0 ? undefined : this.#wait()
  }

  /**
   * Calls `acknowledge` when `stored` resolves, or is undefined, and all before it are acknowledged; `failed`
   * when it rejects. Returns what the next packet has to wait for when the window is full. `isDelivered`: and only
   * its acknowledgement waits.
   */
  add(
    stored: Promise<void> | undefined,
    acknowledge: () => void,
    failed: (error: unknown) => void,
    isDelivered = stored === undefined,
  ): Promise<void> | undefined {
    if (stored === undefined && this.#pending.length === 0) {
      acknowledge()
      return undefined
    }
    const entry = { acknowledge, isStored: stored === undefined }
    this.#pending.push(entry)
    if (!isDelivered) this.#storing += 1
    stored?.then(() => {
      entry.isStored = true
      if (!isDelivered) this.#storing -= 1
      this.#advance()
    }, failed)
    return this.#pending.length < this.#most ? undefined : this.#wait()
  }

  /** Nothing of it is acknowledged any more. */
  close(): void {
    this.#pending.length = 0
    this.#waiting?.resolve()
  }

  #advance(): void {
    while (this.#pending[0]?.isStored === true) this.#pending.shift()?.acknowledge()
    if (this.#pending.length > 0) return
    this.#waiting?.resolve()
    this.#waiting = undefined
  }

  #wait(): Promise<void> {
    this.#waiting ??= Promise.withResolvers<void>()
    return this.#waiting.promise
  }
}
