import { describe, expect, test } from 'vitest'
import { LoadShedder, type LoopState } from '../../../token-service/limits/load-shedder.ts'

const calm: LoopState = { lateMs: 2, utilization: 0.6 }
const overloaded: LoopState = { lateMs: 150, utilization: 1 }

const observe = (shedder: LoadShedder, state: LoopState, times: number): void => {
  for (let index = 0; index < times; index += 1) shedder.observe(state)
}
/** So many are being answered. */
const busyWith = (count: number): LoadShedder => {
  const shedder = new LoadShedder()
  for (let index = 0; index < count; index += 1) shedder.admit()
  return shedder
}
const admittedOf = (shedder: LoadShedder, count: number): number =>
  Array.from({ length: count }, () => shedder.admit()).filter(Boolean).length

describe('requests are let in', () => {
  test('all of them, while the loop has time or its turns are short', () => {
    const shedder = new LoadShedder()
    expect(admittedOf(shedder, 1_000)).toBe(1_000)
    for (const state of [calm, { lateMs: 10, utilization: 1 }, { lateMs: 500, utilization: 0.2 }]) {
      observe(shedder, state, 100)
      expect(admittedOf(shedder, 1_000)).toBe(1_000)
    }
  })

  test('all of them after a single pause', () => {
    const shedder = busyWith(1_000)
    observe(shedder, calm, 10)
    shedder.observe({ lateMs: 120, utilization: 0.95 })
    expect(shedder.share).toBe(1)
  })

  test('fewer and fewer, evenly spread, while there is too much to do; never none', () => {
    const shedder = busyWith(1_000)
    observe(shedder, overloaded, 8)
    const first = shedder.share
    expect(first).toBeLessThan(0.5)
    expect(admittedOf(shedder, 10_000) / 10_000).toBeCloseTo(first, 2)
    observe(shedder, overloaded, 200)
    expect(shedder.share).toBeLessThan(0.05)
    // No hundred in a row is refused.
    for (let index = 0; index < 20; index += 1) expect(admittedOf(shedder, 100)).toBeGreaterThan(0)
  })

  test('all of them again some seconds after it is over', () => {
    const shedder = busyWith(1_000)
    observe(shedder, overloaded, 200)
    const seconds = Array.from({ length: 5 }, () => {
      observe(shedder, calm, 40)
      return shedder.share
    })
    expect(seconds).toEqual(seconds.toSorted((left, right) => left - right))
    expect(seconds.at(-1)).toBe(1)
  })

  test('all of them where few are under way: somebody else has the processor', () => {
    const shedder = busyWith(99)
    observe(shedder, overloaded, 100)
    expect(shedder.share).toBe(1)
    shedder.admit()
    observe(shedder, overloaded, 1)
    expect(shedder.share).toBeLessThan(1)
    for (let index = 0; index < 50; index += 1) shedder.done()
    observe(shedder, overloaded, 100)
    expect(shedder.share).toBe(1)
  })

  test('as many as keep turns short, where a share of them is what can be done', () => {
    // Turns take as long as what is let in: at a third of it 40 ms.
    const shedder = busyWith(1_000)
    const shares = Array.from({ length: 400 }, () => {
      shedder.observe({ lateMs: 120 * shedder.share, utilization: 1 })
      return shedder.share
    })
    for (const share of shares.slice(100)) {
      expect(share).toBeGreaterThan(0.15)
      expect(share).toBeLessThan(0.5)
    }
  })
})
