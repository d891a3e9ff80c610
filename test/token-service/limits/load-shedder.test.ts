import { describe, expect, test } from 'vitest'
import { LoadShedder } from '../../../token-service/limits/load-shedder.ts'

/** What a 25 ms of the service are like. */
interface Moment {
  readonly tookMs: number
  readonly lateMs: number
  readonly utilization: number
}

const calm: Moment = { tookMs: 5, lateMs: 2, utilization: 0.6 }
const overloaded: Moment = { tookMs: 600, lateMs: 150, utilization: 1 }

/** So many are being answered. */
function busyWith(count: number): LoadShedder {
  const shedder = new LoadShedder()
  for (let index = 0; index < count; index += 1) shedder.admit()
  return shedder
}

function live(shedder: LoadShedder, { tookMs, ...loop }: Moment, times: number): void {
  for (let index = 0; index < times; index += 1) {
    // One is answered, another one comes in its place.
    shedder.done(tookMs)
    while (!shedder.admit());
    shedder.observe(loop)
  }
}

const admittedOf = (shedder: LoadShedder, count: number): number =>
  Array.from({ length: count }, () => shedder.admit()).filter(Boolean).length

describe('requests are let in', () => {
  test('all of them, while the loop has time, or answers are quick', () => {
    const shedder = busyWith(1_000)
    for (const moment of [
      calm,
      { tookMs: 50, lateMs: 30, utilization: 1 },
      // Somebody waits for an identity provider.
      { tookMs: 5_000, lateMs: 2, utilization: 0.5 },
    ]) {
      live(shedder, moment, 100)
      expect(shedder.share).toBe(1)
    }
    expect(admittedOf(shedder, 1_000)).toBe(1_000)
  })

  test('all of them after a single pause', () => {
    const shedder = busyWith(1_000)
    live(shedder, calm, 10)
    live(shedder, { tookMs: 150, lateMs: 120, utilization: 0.95 }, 1)
    expect(shedder.share).toBe(1)
  })

  test('fewer and fewer, evenly spread, while there is too much to do; never none', () => {
    const shedder = busyWith(1_000)
    live(shedder, overloaded, 10)
    const first = shedder.share
    expect(first).toBeLessThan(0.5)
    expect(admittedOf(shedder, 10_000) / 10_000).toBeCloseTo(first, 2)
    live(shedder, overloaded, 200)
    expect(shedder.share).toBeLessThan(0.05)
    // No hundred in a row is refused.
    for (let index = 0; index < 20; index += 1) expect(admittedOf(shedder, 100)).toBeGreaterThan(0)
  })

  test('all of them again some seconds after it is over', () => {
    const shedder = busyWith(1_000)
    live(shedder, overloaded, 200)
    const seconds = Array.from({ length: 5 }, () => {
      live(shedder, calm, 40)
      return shedder.share
    })
    expect(seconds).toEqual(seconds.toSorted((left, right) => left - right))
    expect(seconds.at(-1)).toBe(1)
  })

  test('all of them where few are under way: they wait for somebody else', () => {
    const shedder = busyWith(99)
    live(shedder, overloaded, 100)
    expect(shedder.share).toBe(1)
    shedder.admit()
    live(shedder, overloaded, 1)
    expect(shedder.share).toBeLessThan(1)
  })

  test('as many as can be quick, where that is a third of them', () => {
    const shedder = busyWith(1_000)
    const shares = Array.from({ length: 400 }, () => {
      live(shedder, { tookMs: 500 * shedder.share, lateMs: 100 * shedder.share, utilization: 1 }, 1)
      return shedder.share
    })
    for (const share of shares.slice(100)) {
      expect(share).toBeGreaterThan(0.2)
      expect(share).toBeLessThan(0.5)
    }
  })
})
