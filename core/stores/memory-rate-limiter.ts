import type { Clock } from '#core/clock.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { bucketOf, minuteMs, type RateLimit, type RateLimiter, type RateVerdict } from './rate-limiter.ts'

const mostBeforeSweep = 10_000

/** The same contract in one process. */
export class MemoryRateLimiter implements RateLimiter {
  /** By bucket: when it is full again, in ms. A bucket that is not here is full. */
  readonly #fullAt = new Map<string, number>()
  readonly #now: Clock
  #sweepAbove = mostBeforeSweep

  constructor(now: Clock) {
    this.#now = now
  }

  /** Buckets that are kept in mind. */
  get size(): number {
    return this.#fullAt.size
  }

  async take(organization: OrganizationId | undefined, limits: readonly RateLimit[]): Promise<RateVerdict> {
    const now = this.#now()
    this.#sweep(now)
    const buckets = limits.map((limit) => {
      const id = `${organization ?? ''}/${bucketOf(limit)}`
      const step = minuteMs / limit.perMinute
      const fullAt = Math.max(this.#fullAt.get(id) ?? now, now)
      return { id, step, fullAt, next: fullAt + step * (limit.count ?? 1) }
    })
    const waits = buckets.map(({ next }) => next - minuteMs - now)
    const waitMs = Math.max(0, ...waits.filter((wait) => wait > roundingMs))
    return {
      waitMs,
      left: buckets.map(({ id, step, fullAt, next }) => {
        if (waitMs === 0) this.#fullAt.set(id, next)
        const fullInMs = (waitMs === 0 ? next : fullAt) - now
        return { remaining: Math.floor((minuteMs - fullInMs + roundingMs) / step), fullInMs }
      }),
    }
  }

  #sweep(now: number): void {
    if (this.#fullAt.size < this.#sweepAbove) return
    for (const [id, fullAt] of this.#fullAt) if (fullAt <= now) this.#fullAt.delete(id)
    this.#sweepAbove = Math.max(mostBeforeSweep, 2 * this.#fullAt.size)
  }
}

/** Sums of fractions are a little off. */
const roundingMs = 0.001
