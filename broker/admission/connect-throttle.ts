import type { Clock } from '#core/clock.ts'
import { addressGroup } from '#core/network/address-group.ts'
import type { ClientRefusal } from '#core/audit/audit-event.ts'
import { Generations } from './generations.ts'

/** Failed attempts to sign in, in a minute, at this replica; 0 for no limit. All of IPv6's /64 count as one address. */
export interface ThrottleLimits {
  /** With one name from one address. */
  readonly perClient: number
  /** With one name. */
  readonly perName: number
  /** From one address. */
  readonly perAddress: number
}

export const defaultThrottleLimits: ThrottleLimits = { perClient: 20, perName: 200, perAddress: 1_000 }

export type Throttled = Extract<ClientRefusal, 'throttled-name' | 'throttled-address'>

const minuteMs = 60_000
const goodForMs = 24 * 60 * minuteMs
const mostBuckets = 25_000
const mostGood = 25_000

/**
 * Who tried too often with a wrong name or password, known before anything is read or hashed. Only failures count, and
 * whoever signed in with a name from an address lately is not held up by what others do with that name, or from that
 * address: an attacker locks out nobody but those who share both with them.
 *
 * Of this replica alone: a guess costs as many lookups as before, and the cluster as a whole allows as many times more as
 * it has replicas. What is guarded by a guess being expensive is safe all the same: generated passwords have 256 bits.
 */
export class ConnectThrottle {
  readonly #limits: ThrottleLimits
  readonly #now: Clock
  /** When each bucket is full again. */
  readonly #clients = new Generations<number>(mostBuckets)
  readonly #names = new Generations<number>(mostBuckets)
  /** Failed names whose organization was there. */
  readonly #inOrganization = new Generations<true>(mostBuckets)
  readonly #addresses = new Generations<number>(mostBuckets)
  /** When somebody signed in last. */
  readonly #good = new Generations<number>(mostGood)

  /** `now` in ms, and never going back. */
  constructor(limits: ThrottleLimits, now: Clock) {
    this.#limits = limits
    this.#now = now
  }

  /** Whether the next attempt is one too many. `name` is undefined where it can be none. */
  refuses(name: string | undefined, address: string): Throttled | undefined {
    const { perClient, perName, perAddress } = this.#limits
    const now = this.#now()
    const ofName = name === undefined ? undefined : this.#names.get(name)
    const group = addressGroup(address)
    const isAddressEmpty = isEmpty(this.#addresses.get(group), perAddress, now)
    // Without a failure of the name there is none of the client.
    if (ofName === undefined && !isAddressEmpty) return undefined
    const client = clientOf(name, group)
    if (name !== undefined && isEmpty(this.#clients.get(client), perClient, now)) return 'throttled-name'
    if ((this.#good.get(client) ?? -Infinity) > now - goodForMs) return undefined
    if (isEmpty(ofName, perName, now)) return 'throttled-name'
    return isAddressEmpty ? 'throttled-address' : undefined
  }

  /** `isInOrganization`: the organization that the name is of was found. */
  failed(name: string | undefined, address: string, isInOrganization = false): void {
    const now = this.#now()
    const group = addressGroup(address)
    take(this.#addresses, group, this.#limits.perAddress, now)
    if (name === undefined) return
    take(this.#names, name, this.#limits.perName, now)
    take(this.#clients, clientOf(name, group), this.#limits.perClient, now)
    if (isInOrganization) this.#inOrganization.set(name, true)
  }

  succeeded(name: string, address: string): void {
    this.#good.set(clientOf(name, addressGroup(address)), this.#now())
  }

  /** So that whoever is refused unseen stands in the audit log of the organization. */
  knowsOrganizationOf(name: string): boolean {
    return this.#inOrganization.get(name) === true
  }

  /** Entries in memory. */
  get size(): number {
    const all = [this.#clients, this.#names, this.#inOrganization, this.#addresses, this.#good]
    return all.reduce((sum, { size }) => sum + size, 0)
  }
}

const clientOf = (name: string | undefined, group: string): string => `${name ?? ''} ${group}`

/** A bucket of `perMinute` that fills evenly: one more does not fit. */
function isEmpty(fullAt: number | undefined, perMinute: number, now: number): boolean {
  return fullAt !== undefined && perMinute > 0 && fullAt + minuteMs / perMinute - now > minuteMs
}

function take(buckets: Generations<number>, key: string, perMinute: number, now: number): void {
  // Not beyond empty: those that were under way at once do not make the wait longer.
  const least = Math.max(buckets.get(key) ?? now, now)
  const step = perMinute > 0 ? minuteMs / perMinute : 0
  buckets.set(key, Math.min(least + step, now + minuteMs))
}
