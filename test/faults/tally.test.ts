import { describe, expect, test } from 'vitest'
import { Tally } from '../../faults/tally.ts'

describe('what a fault has cost', () => {
  test('is what was acknowledged and never came, and what came twice', () => {
    const tally = new Tally()
    for (const message of ['1', '2', '3']) tally.acknowledged(message)
    for (const message of ['1', '3', '3', 'never acknowledged']) tally.came(0, message, 0)
    expect(tally.outcome('x')).toEqual({ name: 'x', acked: 3, lost: 1, duplicates: 1, longest_gap_ms: 0 })
    tally.came(1, '2', 0)
    expect(tally.outcome('x')).toMatchObject({ lost: 0, duplicates: 1 })
  })

  test('is the longest time that one subscriber got nothing, however much others got', () => {
    const tally = new Tally()
    tally.came(0, 'before it counts', 0)
    tally.watch(2, 5_000)
    for (let now = 5_000; now <= 6_000; now += 10) tally.came(0, String(now), now)
    tally.came(1, 'late', 5_700)
    expect(tally.outcome('x').longest_gap_ms).toBe(700)
    tally.unwatch(6_500)
    expect(tally.outcome('x').longest_gap_ms).toBe(800)
    tally.came(1, 'after it', 9_000)
    expect(tally.outcome('x').longest_gap_ms).toBe(800)
  })
})
