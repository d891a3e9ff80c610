import type { Clock } from '#core/clock.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { bucketOf, type RateLimit, type RateLimiter, type RateVerdict } from '#core/stores/rate-limiter.ts'

/** What is taken from a large bucket at once: a tenth of what it gets in a second. */
const leasesPerSecond = 10
const leaseMs = 1_000
const mostLeases = 10_000

interface Lease {
  left: number
  readonly until: number
  readonly verdict: Left
}

type Left = RateVerdict['left'][number]

/**
 * Takes from large buckets many at once, and asks the store again when those are used up. What is not used within a
 * second is lost: never is more allowed than without.
 */
export class LeasingLimiter implements RateLimiter {
  readonly #limiter: RateLimiter
  readonly #now: Clock
  readonly #leases = new Map<string, Lease>()
  readonly #taking = new Map<string, Promise<RateVerdict>>()

  constructor(limiter: RateLimiter, now: Clock) {
    this.#limiter = limiter
    this.#now = now
  }

  async take(organization: OrganizationId | undefined, limits: readonly RateLimit[]): Promise<RateVerdict> {
    const sizes = limits.map(({ perMinute }) => Math.floor(perMinute / 60 / leasesPerSecond))
    if (sizes.some((size) => size < 2)) return this.#limiter.take(organization, limits)
    const ids = limits.map((limit) => `${organization ?? ''}/${bucketOf(limit)}`)
    for (;;) {
      const leases = ids.map((id) => this.#live(id))
      if (leases.every((lease) => lease !== undefined)) return useOne(leases)
      const key = ids.join('\n')
      // However many wait for it, it is taken once.
      const taking = this.#taking.get(key) ?? this.#takeLeases(key, organization, limits, ids, sizes)
      const verdict = await taking
      if (verdict.waitMs > 0) return this.#limiter.take(organization, limits)
    }
  }

  #takeLeases(
    key: string,
    organization: OrganizationId | undefined,
    limits: readonly RateLimit[],
    ids: readonly string[],
    sizes: readonly number[],
  ): Promise<RateVerdict> {
    const until = this.#now() + leaseMs
    const counted = limits.map((limit, index) => ({ ...limit, count: sizes[index] ?? 1 }))
    const taking = this.#limiter
      .take(organization, counted)
      .then((verdict) => {
        if (verdict.waitMs === 0) this.#keep(ids, sizes, until, verdict)
        return verdict
      })
      .finally(() => this.#taking.delete(key))
    this.#taking.set(key, taking)
    return taking
  }

  #keep(ids: readonly string[], sizes: readonly number[], until: number, { left }: RateVerdict): void {
    if (this.#leases.size >= mostLeases) this.#leases.clear()
    for (const [index, id] of ids.entries()) {
      const verdict = left[index]
      if (verdict !== undefined) this.#leases.set(id, { left: sizes[index] ?? 0, until, verdict })
    }
  }

  #live(id: string): Lease | undefined {
    const lease = this.#leases.get(id)
    return lease !== undefined && lease.left > 0 && lease.until > this.#now() ? lease : undefined
  }
}

function useOne(leases: readonly Lease[]): RateVerdict {
  return {
    waitMs: 0,
    left: leases.map((lease) => {
      lease.left -= 1
      return { remaining: lease.verdict.remaining + lease.left, fullInMs: lease.verdict.fullInMs }
    }),
  }
}
