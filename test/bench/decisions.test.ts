import { describe, expect, test } from 'vitest'
import { compileAccess } from '#core/access/access.ts'
import { measure, measureDecisions, rulesAround } from '../../bench/decisions.ts'

describe('a decision of an access list', () => {
  test('allocates nothing, by whatever rule and among however many', () => {
    for (const count of [1, 100]) expect(measureDecisions(count).bytes).toBe(0)
  }, 60_000)

  test('does not get dearer with each rule', () => {
    const [few, many] = [measureDecisions(1), measureDecisions(100)]
    // A hundred walks would take a hundred times as long.
    expect(many.publish_ns.prefix).toBeLessThan(few.publish_ns.prefix * 10)
  }, 60_000)

  test('is measured: what allocates is seen to do so', () => {
    const access = compileAccess([{ list: 'bench', rules: rulesAround('bench/#', 3) }], {})
    const kept: unknown[] = []
    const { bytes } = measure((index) => {
      kept[index & 7] = { ...access.publish('bench/a', 0, false) }
      return true
    })
    expect(bytes).toBeGreaterThan(16)
  }, 60_000)
})
