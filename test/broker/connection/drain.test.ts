import { expect, test } from 'vitest'
import { drain, stepOf } from '../../../broker/connection/drain.ts'

test('a few go at once, many evenly in the time that is left, and all when it is over', () => {
  expect(stepOf(3, 10_000)).toBe(5)
  expect(stepOf(1_000, 10_000)).toBe(10)
  expect(stepOf(500, 5_000)).toBe(10)
  expect(stepOf(500, 50)).toBe(500)
})

test('clients are sent away in steps, each once, those that come meanwhile too', async () => {
  const there = new Set(Array.from({ length: 30 }, (_, index) => index))
  const steps: number[] = []
  let inStep = 0
  await drain<number>({
    overMs: 300,
    connections: () => {
      steps.push(inStep)
      inStep = 0
      return [...there]
    },
    retire: async (one) => {
      inStep += 1
      if (one === 0) there.add(100)
      await Promise.resolve()
      there.delete(one)
    },
  })
  expect(there.size).toBe(0)
  expect(steps.reduce((sum, count) => sum + count)).toBe(31)
  expect(Math.max(...steps)).toBeLessThan(31)
})

test('it resolves only when the last one is gone', async () => {
  let isGone = false
  await drain<string>({
    overMs: 0,
    connections: () => ['slow'],
    retire: async () => {
      await new Promise((resolve) => setTimeout(resolve, 250))
      isGone = true
    },
  })
  expect(isGone).toBe(true)
})
