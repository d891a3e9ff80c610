import { describe, expect, test } from 'vitest'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { RateLimit, RateLimiter } from '#core/stores/rate-limiter.ts'
import { anOrganizationId as org, anotherOrganizationId } from '../fixtures/records.ts'

export interface RateLimiterUnderTest {
  readonly limiter: RateLimiter
  /** Lets so much time pass for the limiter. */
  pass(ms: number): Promise<void>
}

/** Every rate limiter runs this. `create` gives one with full buckets. */
export function describeRateLimiter(name: string, create: () => Promise<RateLimiterUnderTest>): void {
  describe(`${name} keeps the contract of a rate limiter:`, () => {
    const limit = (of: string, perMinute: number): RateLimit => ({ name: 'key', of, perMinute })
    /** How many of `times` are allowed. */
    const allowedOf = async (
      limiter: RateLimiter,
      times: number,
      limits: readonly RateLimit[],
      organization: OrganizationId | 'none' = org,
    ): Promise<number> => {
      let allowed = 0
      for (let index = 0; index < times; index += 1) {
        if ((await limiter.take(organization === 'none' ? undefined : organization, limits)).waitMs === 0)
          allowed += 1
      }
      return allowed
    }

    test('as many as the minute has are allowed at once, and not one more', async () => {
      for (const perMinute of [1, 3, 7, 60]) {
        const { limiter } = await create()
        expect(await allowedOf(limiter, perMinute + 3, [limit('a', perMinute)])).toBe(perMinute)
      }
    })

    test('a bucket may be as large as it likes', async () => {
      const { limiter } = await create()
      expect(await allowedOf(limiter, 100, [limit('a', 1_000_000_000)])).toBe(100)
    })

    test('the bucket fills evenly again', async () => {
      const { limiter, pass } = await create()
      const limits = [limit('a', 60)]
      expect(await allowedOf(limiter, 60, limits)).toBe(60)
      const { waitMs } = await limiter.take(org, limits)
      expect(waitMs).toBeGreaterThan(0)
      expect(waitMs).toBeLessThanOrEqual(1_000)
      await pass(waitMs + 5)
      expect(await allowedOf(limiter, 5, limits)).toBe(1)
    })

    test('it says what is left and when all of it is there again', async () => {
      const { limiter } = await create()
      const first = await limiter.take(org, [limit('a', 60), limit('b', 120)])
      expect(first.left.map(({ remaining }) => remaining)).toEqual([59, 119])
      expect(first.left[0]?.fullInMs).toBeCloseTo(1_000, -1)
      expect(first.left[1]?.fullInMs).toBeCloseTo(500, -1)
      const second = await limiter.take(org, [limit('a', 60)])
      expect(second.left[0]?.remaining).toBe(58)
      expect(second.left[0]?.fullInMs).toBeGreaterThan(1_500)
    })

    test('several are taken at once, or none of them', async () => {
      const { limiter } = await create()
      const many = (count: number): RateLimit => ({ ...limit('a', 60), count })
      expect((await limiter.take(org, [many(40)])).left[0]?.remaining).toBe(20)
      const refused = await limiter.take(org, [many(30)])
      expect(refused.waitMs).toBeGreaterThan(9_000)
      expect(refused.waitMs).toBeLessThanOrEqual(10_000)
      expect((await limiter.take(org, [many(20)])).left[0]?.remaining).toBe(0)
      expect((await limiter.take(org, [many(1)])).waitMs).toBeGreaterThan(0)
    })

    test('where one bucket is empty, nothing is taken from the others', async () => {
      const { limiter } = await create()
      await limiter.take(org, [limit('a', 1)])
      const refused = await limiter.take(org, [limit('a', 1), limit('b', 60)])
      expect(refused.waitMs).toBeGreaterThan(50_000)
      expect(refused.left.map(({ remaining }) => remaining)).toEqual([0, 60])
      expect((await limiter.take(org, [limit('b', 60)])).left[0]?.remaining).toBe(59)
    })

    test('refusals take nothing either: whoever keeps asking does not wait longer', async () => {
      const { limiter } = await create()
      await limiter.take(org, [limit('a', 1)])
      const waits: number[] = []
      for (let index = 0; index < 20; index += 1) {
        waits.push((await limiter.take(org, [limit('a', 1)])).waitMs)
      }
      expect(Math.max(...waits)).toBeLessThanOrEqual(60_000)
      expect(waits.at(-1)).toBeLessThanOrEqual(waits[0] ?? 0)
    })

    test('buckets are told apart by organization, by what they limit and by whom', async () => {
      const { limiter } = await create()
      const one = limit('a', 1)
      expect(await allowedOf(limiter, 2, [one])).toBe(1)
      expect(await allowedOf(limiter, 2, [{ ...one, of: 'b' }])).toBe(1)
      expect(await allowedOf(limiter, 2, [{ ...one, name: 'subject' }])).toBe(1)
      expect(await allowedOf(limiter, 2, [one], anotherOrganizationId)).toBe(1)
      expect(await allowedOf(limiter, 2, [one], 'none')).toBe(1)
    })

    test('callers at the same time share it exactly', async () => {
      const { limiter } = await create()
      const verdicts = await Promise.all(
        Array.from({ length: 200 }, () => limiter.take(org, [limit('a', 50)])),
      )
      expect(verdicts.filter(({ waitMs }) => waitMs === 0)).toHaveLength(50)
    })
  })
}
