import { beforeEach, describe, expect, test } from 'vitest'
import { DomainError } from '#core/errors.ts'
import { FullPass } from '../../operator/kubernetes/full-pass.ts'
import { recordingLog } from '../fixtures/recording-log.ts'
import { ManualTime, settle } from './runtime/manual-time.ts'

const away = new DomainError('store-unavailable', 'away')

describe('the pass over all objects', () => {
  let time: ManualTime
  let log: ReturnType<typeof recordingLog>
  let steps: string[]
  let isReady: boolean
  let failure: Error | undefined
  let sweepFailure: Error | undefined
  let takeOverFailure: Error | undefined
  let objects: string[]
  let pass: FullPass

  beforeEach(() => {
    time = new ManualTime()
    log = recordingLog()
    steps = []
    isReady = false
    failure = undefined
    sweepFailure = undefined
    takeOverFailure = undefined
    objects = ['MqttUser a/ada', 'MqttUser a/bob']
    pass = new FullPass({
      time,
      log,
      store: {
        async isReady() {
          if (failure !== undefined) throw failure
          return isReady
        },
        async markReady() {
          steps.push('marked')
          isReady = true
        },
      },
      async takeOver() {
        if (takeOverFailure !== undefined) throw takeOverFailure
      },
      enqueueAll() {
        steps.push('enqueued')
        return objects
      },
      async sweepOrphans() {
        if (sweepFailure !== undefined) throw sweepFailure
        steps.push('swept')
        return 1
      },
    })
  })

  const begin = async (): Promise<void> => {
    pass.start()
    await settle()
  }
  const finish = async (): Promise<void> => {
    pass.succeeded('MqttUser', 'a/ada')
    pass.succeeded('MqttUser', 'a/bob')
    await settle()
  }

  test('sweeps and says ready only when each object was reconciled', async () => {
    await begin()
    pass.succeeded('MqttUser', 'a/ada')
    await time.advance(10_000)
    expect(steps).toEqual(['enqueued'])
    pass.succeeded('MqttUser', 'a/bob')
    await settle()
    expect(steps).toEqual(['enqueued', 'swept', 'marked'])
    expect(pass.isComplete()).toBe(true)
  })

  test('over no object at all is complete at once', async () => {
    objects = []
    await begin()
    expect(steps).toEqual(['enqueued', 'swept', 'marked'])
  })

  test('is not held up for ever by an object that fails, unless it is the store that fails', async () => {
    await begin()
    pass.succeeded('MqttUser', 'a/ada')
    for (let failures = 0; failures < 100; failures += 1) pass.failed('MqttUser', 'a/bob', away, failures)
    for (let failures = 0; failures < 7; failures += 1) {
      pass.failed('MqttUser', 'a/bob', new Error('forbidden'), failures)
    }
    await settle()
    expect(steps).toEqual(['enqueued'])
    pass.failed('MqttUser', 'a/bob', new Error('forbidden'), 7)
    await settle()
    expect(steps).toEqual(['enqueued', 'swept', 'marked'])
  })

  test('waits for the store, and begins again after the store was away', async () => {
    failure = away
    await begin()
    await time.advance(60_000)
    expect(steps).toEqual([])
    failure = undefined
    await time.advance(1_000)
    expect(steps).toEqual(['enqueued'])
    failure = away
    await time.advance(1_000)
    failure = undefined
    await time.advance(1_000)
    expect(steps).toEqual(['enqueued', 'enqueued'])
    await finish()
    expect(steps).toEqual(['enqueued', 'enqueued', 'swept', 'marked'])
    expect(log.lines.filter(({ level }) => level === 'error')).toEqual([])
  })

  test('is made once more when the store has lost its mark, and not otherwise', async () => {
    await begin()
    await finish()
    await time.advance(60_000)
    expect(steps).toEqual(['enqueued', 'swept', 'marked'])
    isReady = false
    await time.advance(1_000)
    await finish()
    expect(steps).toEqual(['enqueued', 'swept', 'marked', 'enqueued', 'swept', 'marked'])
  })

  test('is made once more when what was written last may be lost, also when that is told in the middle of one', async () => {
    await begin()
    pass.again()
    await finish()
    await time.advance(1_000)
    await finish()
    expect(steps).toEqual(['enqueued', 'enqueued', 'swept', 'marked'])
    pass.again()
    await time.advance(1_000)
    await finish()
    expect(steps).toEqual(['enqueued', 'enqueued', 'swept', 'marked', 'enqueued', 'swept', 'marked'])
    expect(pass.isComplete()).toBe(true)
  })

  test('never says ready when the sweep failed, and tries that again', async () => {
    sweepFailure = new Error('damaged')
    await begin()
    await finish()
    expect(steps).toEqual(['enqueued'])
    sweepFailure = undefined
    await time.advance(1_000)
    await finish()
    expect(steps).toEqual(['enqueued', 'enqueued', 'swept', 'marked'])
  })

  test('writes nothing before the store is closed to earlier leaders', async () => {
    takeOverFailure = new DomainError('superseded', 'another leads')
    await begin()
    await time.advance(5_000)
    expect(steps).toEqual([])
    takeOverFailure = undefined
    await time.advance(1_000)
    expect(steps).toEqual(['enqueued'])
  })

  test('takes over anew when a write finds that a later leader was there', async () => {
    await begin()
    await finish()
    takeOverFailure = new DomainError('superseded', 'another leads')
    pass.failed('MqttUser', 'a/ada', takeOverFailure, 0)
    await time.advance(5_000)
    expect(pass.isComplete()).toBe(false)
    expect(steps).toEqual(['enqueued', 'swept', 'marked'])
  })

  test('does nothing more once it was stopped', async () => {
    await begin()
    pass.stop()
    await finish()
    await time.advance(60_000)
    expect(steps).toEqual(['enqueued'])
  })
})
