import { describe, expect, test } from 'vitest'
import { MemoryRateLimiter } from '#core/stores/memory-rate-limiter.ts'
import type { RateLimit, RateLimiter } from '#core/stores/rate-limiter.ts'
import { LeasingLimiter } from '../../../token-service/limits/leasing-limiter.ts'
import { describeRateLimiter } from '../../contracts/rate-limiter.ts'
import { anOrganizationId as org } from '../../fixtures/records.ts'

describeRateLimiter('the limiter that leases', async () => {
  let now = 1_700_000_000_000
  const limiter = new LeasingLimiter(new MemoryRateLimiter(() => now), () => now)
  return { limiter, pass: async (ms) => void (now += ms) }
})

const large = (of: string, perMinute = 60_000): RateLimit => ({ name: 'key', of, perMinute })

function aWorld() {
  let now = 1_700_000_000_000
  let asked = 0
  const inner = new MemoryRateLimiter(() => now)
  const counting: RateLimiter = {
    async take(...parameters) {
      asked += 1
      await Promise.resolve()
      return inner.take(...parameters)
    },
  }
  return {
    /** As many replicas as there are share one store. */
    replica: () => new LeasingLimiter(counting, () => now),
    asked: () => asked,
    pass: (ms: number) => void (now += ms),
  }
}

describe('a large bucket', () => {
  test('is asked for once in a hundred, also by many at the same time', async () => {
    const { replica, asked } = aWorld()
    const limiter = replica()
    for (let index = 0; index < 1_000; index += 1) await limiter.take(org, [large('a'), large('b', 120_000)])
    expect(asked()).toBe(10)
    await Promise.all(Array.from({ length: 100 }, () => limiter.take(org, [large('c')])))
    expect(asked()).toBe(11)
  })

  test('gives no more to all replicas together than it has', async () => {
    const { replica } = aWorld()
    const replicas = [replica(), replica(), replica()]
    let allowed = 0
    for (let index = 0; index < 70_000; index += 1) {
      const verdict = await replicas[index % 3]?.take(org, [large('a')])
      if (verdict?.waitMs === 0) allowed += 1
    }
    expect(allowed).toBeLessThanOrEqual(60_000)
    expect(allowed).toBeGreaterThan(59_000)
  })

  test('loses what was not used within a second', async () => {
    const { replica, asked, pass } = aWorld()
    const limiter = replica()
    await limiter.take(org, [large('a')])
    pass(999)
    await limiter.take(org, [large('a')])
    expect(asked()).toBe(1)
    pass(1)
    await limiter.take(org, [large('a')])
    expect(asked()).toBe(2)
  })

  test('says what is left, less with each', async () => {
    const { replica } = aWorld()
    const limiter = replica()
    const left: unknown[] = []
    for (let index = 0; index < 3; index += 1) {
      left.push((await limiter.take(org, [large('a')])).left[0]?.remaining)
    }
    expect(left).toEqual([59_999, 59_998, 59_997])
  })
})

test('a small bucket is asked for each time', async () => {
  const { replica, asked } = aWorld()
  const limiter = replica()
  for (let index = 0; index < 5; index += 1) await limiter.take(org, [large('a', 600), large('b')])
  expect(asked()).toBe(5)
})

test('a store that does not answer is an error for all who wait, and for nobody after', async () => {
  let isBroken = true
  const inner = new MemoryRateLimiter(() => 0)
  const limiter = new LeasingLimiter(
    {
      async take(...parameters) {
        if (isBroken) throw new Error('away')
        return inner.take(...parameters)
      },
    },
    () => 0,
  )
  const results = await Promise.allSettled([limiter.take(org, [large('a')]), limiter.take(org, [large('a')])])
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  isBroken = false
  expect((await limiter.take(org, [large('a')])).waitMs).toBe(0)
})
