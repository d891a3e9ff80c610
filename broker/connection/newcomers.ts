import { addressGroup } from '#core/network/address-group.ts'

/**
 * Counts, by address, connections whose CONNECT is not accepted yet: nobody holds all sockets without having
 * signed in. Many clients may stand behind one address, and all of them may come at once.
 */
export class Newcomers {
  readonly #most: number
  readonly #mostOfAll: number
  readonly #byAddress = new Map<string, number>()
  #all = 0

  constructor(most: number, mostOfAll: number) {
    this.#most = most
    this.#mostOfAll = mostOfAll
  }

  /** False when there are too many; else to be followed by one `leave`. All of IPv6's /64 count as one address. */
  enter(address: string): boolean {
    const group = addressGroup(address)
    const count = this.#byAddress.get(group) ?? 0
    if (count >= this.#most || this.#all >= this.#mostOfAll) return false
    this.#byAddress.set(group, count + 1)
    this.#all += 1
    return true
  }

  leave(address: string): void {
    const group = addressGroup(address)
    const count = this.#byAddress.get(group) ?? 0
    if (count === 0) return
    this.#all -= 1
    if (count > 1) this.#byAddress.set(group, count - 1)
    else this.#byAddress.delete(group)
  }
}
