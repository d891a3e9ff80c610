import { beforeEach, describe, expect, test } from 'vitest'
import { DomainError } from '#core/errors.ts'
import { Upkeep } from '../../operator/kubernetes/upkeep.ts'
import { recordingLog } from '../fixtures/recording-log.ts'
import { ManualTime, settle } from './runtime/manual-time.ts'

describe('the upkeep of records', () => {
  let time: ManualTime
  let log: ReturnType<typeof recordingLog>
  let rounds: number[]
  let isDue: boolean
  let isUrgent: boolean
  let random: number
  let failure: Error | undefined
  let upkeep: Upkeep
  beforeEach(() => {
    time = new ManualTime()
    log = recordingLog()
    rounds = []
    isDue = true
    isUrgent = false
    random = 0.5
    failure = undefined
    upkeep = new Upkeep({
      time,
      log,
      random: () => random,
      intervalMs: 60_000,
      isDue: () => isDue,
      isUrgent: () => isUrgent,
      async round() {
        rounds.push(time.monotonic())
        if (failure !== undefined) throw failure
      },
    })
    upkeep.start()
  })
  const gaps = (): number[] => rounds.slice(1).map((at, index) => at - (rounds[index] ?? 0))

  test('comes at intervals that differ by up to a fifth', async () => {
    for (random of [0, 0.5, 0.999]) await time.advance(66_000)
    await time.advance(80_000)
    expect(rounds.length).toBeGreaterThanOrEqual(4)
    for (const gap of gaps()) {
      expect(gap).toBeGreaterThanOrEqual(48_000)
      expect(gap).toBeLessThanOrEqual(73_000)
    }
    expect(new Set(gaps()).size).toBeGreaterThan(1)
  })

  test('comes within a second when something was left to do, or is urgent', async () => {
    upkeep.soon()
    await time.advance(1_000)
    expect(rounds).toHaveLength(1)
    isUrgent = true
    await time.advance(2_000)
    expect(rounds).toHaveLength(3)
  })

  test('waits while records are still being written, and does what was left then', async () => {
    isDue = false
    upkeep.soon()
    await time.advance(120_000)
    expect(rounds).toEqual([])
    isDue = true
    await time.advance(1_000)
    expect(rounds).toHaveLength(1)
  })

  test('goes on after a failure, which is told unless it is the store that is away', async () => {
    failure = new DomainError('store-unavailable', 'away')
    await time.advance(61_000)
    expect(log.lines).toEqual([])
    failure = new Error('a mistake')
    await time.advance(61_000)
    expect(log.lines.map(({ level }) => level)).toEqual(['error'])
    failure = undefined
    await time.advance(61_000)
    expect(rounds).toHaveLength(3)
  })

  test('ends when it is stopped', async () => {
    upkeep.stop()
    await time.advance(600_000)
    await settle()
    expect(rounds).toEqual([])
  })
})
