/**
 * Counts, by address, connections whose CONNECT is not accepted yet: nobody holds all sockets without having
 * signed in. Many clients may stand behind one address, and all of them may come at once.
 */
export class Newcomers {
  readonly #most: number
  readonly #byAddress = new Map<string, number>()

  constructor(most: number) {
    this.#most = most
  }

  /** False when there are too many; else to be followed by one `leave`. */
  enter(address: string): boolean {
    const count = this.#byAddress.get(address) ?? 0
    if (count >= this.#most) return false
    this.#byAddress.set(address, count + 1)
    return true
  }

  leave(address: string): void {
    const count = this.#byAddress.get(address) ?? 0
    if (count > 1) this.#byAddress.set(address, count - 1)
    else this.#byAddress.delete(address)
  }
}
