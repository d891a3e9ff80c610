import { describe, expect, test } from 'vitest'
import { PublishRate } from '../../../broker/connection/publish-rate.ts'

function aRate(rates: Parameters<PublishRate['limit']>[0]): PublishRate {
  const rate = new PublishRate()
  rate.limit(rates)
  return rate
}

/** How many of these messages that came all at once go through within so many ms, waiting as they are told. */
function passed(rate: PublishRate, bytes: number, withinMs: number): number {
  const cameAt = 5_000
  let now = cameAt
  for (let count = 0; ; count += 1) {
    const wait = rate.take(bytes, cameAt)
    now += wait
    if (wait > 0) rate.waited(now)
    if (now > cameAt + withinMs || count > 1_000_000) return count
  }
}

describe('a connection', () => {
  test('without limits waits for nothing', () => {
    const rate = aRate({})
    expect(rate.isLimited).toBe(false)
    expect(rate.take(1e9, 0)).toBe(0)
  })

  test.each([
    ['messages', { messages: 10 }, 1, 10],
    ['bytes', { bytes: 1_000 }, 100, 10],
    ['the tighter of both', { messages: 1_000, bytes: 1_000 }, 100, 10],
    ['one message in several seconds', { messages: 0.25 }, 1, 0.25],
  ])(
    'sends as fast as it may and not faster, after a second’s worth at once: %s',
    (_name, rates, bytes, perSecond) => {
      const count = passed(aRate(rates), bytes, 100_000)
      const expected = perSecond * 100 + Math.max(perSecond, 1)
      expect(count).toBeGreaterThanOrEqual(expected - 1)
      expect(count).toBeLessThanOrEqual(expected + 1)
    },
  )

  test('that was silent may send a second’s worth again, and no more', () => {
    const rate = aRate({ messages: 10 })
    for (let index = 0; index < 10; index += 1) expect(rate.take(1, 0)).toBe(0)
    expect(rate.take(1, 0)).toBeGreaterThan(0)
    for (let index = 0; index < 10; index += 1) expect(rate.take(1, 60_000)).toBe(0)
    expect(rate.take(1, 60_000)).toBeGreaterThan(0)
  })

  test('that may send nothing waits for ever', () => {
    expect(aRate({ messages: 0 }).take(1, 0)).toBe(Infinity)
    expect(aRate({ bytes: 0 }).take(1, 0)).toBe(Infinity)
  })

  test('whose limit changes is held to the new one', () => {
    const rate = aRate({ messages: 1 })
    rate.take(1, 0)
    expect(rate.take(1, 0)).toBeGreaterThan(0)
    rate.limit({})
    expect(rate.take(1, 0)).toBe(0)
  })
})
