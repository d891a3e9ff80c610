import type { Clock } from '#core/clock.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { ConnectionAbout } from '#core/stores/session-directory.ts'
import type { Basis } from '../admission/admission.ts'
import {
  type Arrival,
  type Arrived,
  type Claim,
  claimMs,
  type ClientRegistry,
  type ConnectionBounds,
  type DueWill,
  type NotArrived,
  type WillFate,
} from './client-registry.ts'
import type { StoredWill } from './stored-will.ts'

interface Kept {
  readonly claim: Claim
  readonly will: StoredWill
  attempts: number
  /** When to hand it out; absent while its connection lives. */
  at?: number
  /** The broker sent its client away: dropped when the id is taken again. */
  isDeferred?: true
}

/** Of one process alone: all is gone with it, as its clients are. */
export class MemoryClientRegistry implements ClientRegistry {
  readonly #now: Clock
  readonly #owners = new Map<string, number>()
  readonly #claims = new Map<string, Claim>()
  readonly #wills = new Map<string, Kept>()
  #lastEpoch = 0

  constructor(now: Clock) {
    this.#now = now
  }

  async arrive(
    arrival: Arrival,
    _basis: Basis,
    bounds: ConnectionBounds = {},
  ): Promise<Arrived | NotArrived> {
    const key = keyOf(arrival)
    if (!this.#isConnected(arrival)) {
      if (this.#connected(arrival, '') >= (bounds.organization ?? Infinity)) return 'organization-full'
      const principal = `${arrival.id.slice(0, arrival.id.indexOf('/'))}/`
      if (this.#connected(arrival, principal) >= (bounds.principal ?? Infinity)) return 'principal-full'
    }
    const formerEpoch = this.#owners.get(key)
    const former = formerEpoch === undefined ? undefined : this.#displace(arrival, formerEpoch)
    this.#lastEpoch += 1
    const claim = { arrival, epoch: this.#lastEpoch, since: this.#now() }
    await this.confirm(claim)
    return { claim, mayHaveSession: true, isElsewhere: false, ...(former === undefined ? {} : { former }) }
  }

  async confirm(claim: Claim): Promise<boolean> {
    const { arrival, epoch } = claim
    const key = keyOf(arrival)
    if ((this.#owners.get(key) ?? 0) > epoch) return false
    this.#owners.set(key, epoch)
    this.#claims.set(key, claim)
    const kept = this.#wills.get(willKey(arrival, epoch))
    if (kept?.attempts === 0) delete kept.at
    else if (kept === undefined && arrival.will !== undefined) {
      this.#wills.set(willKey(arrival, epoch), { claim, will: arrival.will, attempts: 0 })
    }
    return true
  }

  async tell(claim: Claim, about: ConnectionAbout): Promise<void> {
    const key = keyOf(claim.arrival)
    if (this.#owners.get(key) !== claim.epoch) return
    this.#claims.set(key, { ...claim, arrival: { ...claim.arrival, about } })
  }

  async leave({ arrival, epoch }: Claim, fate: WillFate): Promise<DueWill | undefined> {
    const key = keyOf(arrival)
    const kept = this.#wills.get(willKey(arrival, epoch))
    const isOwner = this.#owners.get(key) === epoch
    if (kept?.attempts === 0 && fate.publish) {
      const leastSeconds = 'atLeastSeconds' in fate ? fate.atLeastSeconds : 0
      if (leastSeconds > 0) kept.isDeferred = true
      const delay = Math.max(Math.min(kept.will.delaySeconds, fate.atMostSeconds), leastSeconds)
      if (delay > 0) {
        kept.at = this.#now() + delay * 1_000
        return undefined
      }
      if (isOwner) this.#forget(key)
      return this.#handOut(kept)
    }
    if (kept?.attempts === 0) this.#wills.delete(willKey(arrival, epoch))
    if (isOwner) this.#forget(key)
    return undefined
  }

  async takeDue(): Promise<readonly DueWill[]> {
    const now = this.#now()
    const due = [...this.#wills.values()].filter(({ at }) => at !== undefined && at <= now)
    return due.map((kept) => this.#handOut(kept))
  }

  async settle({ organization, id, epoch }: DueWill): Promise<void> {
    const arrival = { organization, id }
    this.#wills.delete(willKey(arrival, epoch))
    if (this.#owners.get(keyOf(arrival)) === epoch) this.#forget(keyOf(arrival))
  }

  /** Its time comes when it was not settled. */
  postpone(): void {}

  /** Those that are connected, by id. */
  claimsOf(organization: OrganizationId): ReadonlyMap<string, Claim> {
    const own = [...this.#claims.values()].filter(({ arrival }) => arrival.organization === organization)
    const connected = own.filter(({ arrival }) => this.#isConnected(arrival))
    return new Map(connected.map((claim) => [claim.arrival.id, claim]))
  }

  /** The organization is gone: its wills wait for nothing. */
  forgetAll(organization: OrganizationId): void {
    for (const [key, { claim }] of this.#wills) {
      if (claim.arrival.organization !== organization) continue
      this.#wills.delete(key)
      this.#forget(keyOf(claim.arrival))
    }
  }

  #forget(key: string): void {
    this.#owners.delete(key)
    this.#claims.delete(key)
  }

  /** And not only its will is left. */
  #isConnected(named: Named): boolean {
    const epoch = this.#owners.get(keyOf(named))
    return epoch !== undefined && this.#wills.get(willKey(named, epoch))?.at === undefined
  }

  /** How many of the organization have an id that begins so. */
  #connected({ organization }: Named, prefix: string): number {
    const ids = [...this.#owners.keys()].filter((key) => key.startsWith(`${organization} ${prefix}`))
    return ids.filter((key) => this.#isConnected({ organization, id: key.slice(organization.length + 1) }))
      .length
  }

  #displace(arrival: Arrival, formerEpoch: number): DueWill | undefined {
    const key = willKey(arrival, formerEpoch)
    const kept = this.#wills.get(key)
    if (kept === undefined || kept.attempts > 0) return undefined
    const isDue = kept.will.delaySeconds === 0 || arrival.isCleanStart
    if (isDue && kept.isDeferred !== true) return this.#handOut(kept)
    this.#wills.delete(key)
    return undefined
  }

  #handOut(kept: Kept): DueWill {
    const { arrival, epoch } = kept.claim
    kept.attempts += 1
    kept.at = this.#now() + claimMs
    const { organization, id } = arrival
    return { organization, id, epoch, attempts: kept.attempts, will: kept.will }
  }
}

type Named = Pick<Arrival, 'organization' | 'id'>

const keyOf = ({ organization, id }: Named): string => `${organization} ${id}`

const willKey = (named: Named, epoch: number): string => `${epoch} ${keyOf(named)}`
