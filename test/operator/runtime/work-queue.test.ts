import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { WorkQueue, type WorkQueueOptions, type WorkResult } from '../../../operator/runtime/work-queue.ts'
import { ManualTime, settle } from './manual-time.ts'

const done: WorkResult = { outcome: 'done' }

/** Work that ends when the test says so. */
function heldWork() {
  const started: string[] = []
  const running = new Map<string, (result: WorkResult) => void>()
  const signals = new Map<string, AbortSignal>()
  const work: WorkQueueOptions['work'] = (key, { signal }) => {
    started.push(key)
    signals.set(key, signal)
    return new Promise((resolve) => running.set(key, resolve))
  }
  const finish = async (key: string, result: WorkResult = done): Promise<void> => {
    const resolve = running.get(key)
    running.delete(key)
    resolve?.(result)
    await settle()
  }
  return { started, running, signals, work, finish }
}

function aQueue(work: WorkQueueOptions['work'], options: Partial<WorkQueueOptions> = {}) {
  const time = new ManualTime()
  const queue = new WorkQueue({ work, concurrency: 1, timeoutMs: 1_000_000_000, time, ...options })
  return { queue, time }
}

describe('a work queue', () => {
  test('runs a key added many times while it waits only once', async () => {
    const { started, work, finish } = heldWork()
    const { queue } = aQueue(work)
    for (const key of ['a', 'b', 'a', 'b', 'a']) queue.add(key)
    queue.start()
    await finish('a')
    await finish('b')
    expect(started).toEqual(['a', 'b'])
  })

  test('runs a key added while it is worked on once more afterwards, never at the same time', async () => {
    const { started, work, finish } = heldWork()
    const { queue } = aQueue(work, { concurrency: 5 })
    queue.start()
    queue.add('a')
    queue.add('a')
    queue.add('a')
    await settle()
    expect(started).toEqual(['a'])
    await finish('a')
    expect(started).toEqual(['a', 'a'])
    await finish('a')
    expect(started).toEqual(['a', 'a'])
  })

  test('does not run a key twice at once that was added meanwhile and also asked to come back at once', async () => {
    const { started, running, work, finish } = heldWork()
    const { queue } = aQueue(work, { concurrency: 5 })
    queue.start()
    queue.add('a')
    queue.add('a')
    await finish('a', { outcome: 'done', againAfterMs: 0 })
    expect(started).toEqual(['a', 'a'])
    expect(running.size).toBe(1)
    await finish('a')
    await finish('a')
    expect(started).toEqual(['a', 'a', 'a'])
  })

  test('works on as many keys at once as it may', async () => {
    const { started, work } = heldWork()
    const { queue } = aQueue(work, { concurrency: 2 })
    queue.start()
    for (const key of ['a', 'b', 'c']) queue.add(key)
    expect(started).toEqual(['a', 'b'])
    expect(queue.state()).toMatchObject({ depth: 1, processing: 2, activeWorkers: 2 })
  })

  test('takes live keys before resync keys, and moves a key that becomes live', async () => {
    const { started, work, finish } = heldWork()
    const { queue } = aQueue(work)
    for (const key of ['r1', 'r2', 'r3']) queue.add(key, 'resync')
    queue.add('live')
    queue.add('r3', 'live')
    queue.add('live', 'resync')
    queue.start()
    for (const key of ['live', 'r3', 'r1', 'r2']) await finish(key)
    expect(started).toEqual(['live', 'r3', 'r1', 'r2'])
  })

  test('waits 5 ms after the first failure, twice as long after each further one, and at most 1000 s', async () => {
    const { queue, time } = aQueue(async () => ({ outcome: 'retry' }))
    queue.start()
    queue.add('a')
    const waits: number[] = []
    for (let failure = 0; failure < 20; failure += 1) {
      await settle()
      waits.push(time.waits[0] ?? 0)
      await time.advance(time.waits[0] ?? 0)
    }
    expect(waits.slice(0, 5)).toEqual([5, 10, 20, 40, 80])
    expect(waits.slice(-3)).toEqual([655_360, 1_000_000, 1_000_000])
  })

  test('forgets failures after a success', async () => {
    const results: WorkResult[] = [{ outcome: 'retry' }, { outcome: 'retry' }, done, { outcome: 'retry' }]
    const failures: number[] = []
    const { queue, time } = aQueue(async (_key, context) => {
      failures.push(context.failures)
      return results.shift() ?? done
    })
    queue.start()
    queue.add('a')
    await time.advance(1000)
    queue.add('a')
    await settle()
    expect(failures).toEqual([0, 1, 2, 0])
    expect(time.waits).toEqual([5])
  })

  test('treats a rejected promise as a failure', async () => {
    const { queue, time } = aQueue(() => Promise.reject(new Error('no')))
    queue.start()
    queue.add('a')
    await settle()
    expect(time.waits).toEqual([5])
  })

  test('does not come back before the time the work asked for', async () => {
    const { queue, time } = aQueue(async () => ({ outcome: 'retry', atLeastMs: 7000 }))
    queue.start()
    queue.add('a')
    await settle()
    expect(time.waits).toEqual([7000])
  })

  test('runs a key again after the time the work asked for', async () => {
    const { started, work, finish } = heldWork()
    const { queue, time } = aQueue(work)
    queue.start()
    queue.add('a')
    await finish('a', { outcome: 'done', againAfterMs: 500 })
    await time.advance(499)
    expect(started).toEqual(['a'])
    await time.advance(1)
    expect(started).toEqual(['a', 'a'])
  })

  test('runs a delayed key at the earliest of its times', async () => {
    const { started, work } = heldWork()
    const { queue, time } = aQueue(work)
    queue.start()
    queue.addAfter('a', 500)
    queue.addAfter('a', 100)
    queue.addAfter('a', 900)
    await time.advance(100)
    expect(started).toEqual(['a'])
    expect(time.waits).toEqual([1_000_000_000])
  })

  test('aborts work beyond its time and goes on with other keys, but keeps the late key to itself', async () => {
    const { started, signals, work, finish } = heldWork()
    const { queue, time } = aQueue(work, { timeoutMs: 1000 })
    queue.start()
    queue.add('late')
    queue.add('next')
    await time.advance(1000)
    queue.add('late')
    expect(signals.get('late')?.aborted).toBe(true)
    expect(started).toEqual(['late', 'next'])
    await finish('next')
    expect(started).toEqual(['late', 'next'])
    await finish('late', { outcome: 'retry' })
    expect(started).toEqual(['late', 'next', 'late'])
  })

  test('keeps what is added before it starts', async () => {
    const { started, work } = heldWork()
    const { queue, time } = aQueue(work, { concurrency: 9 })
    queue.add('now')
    queue.addAfter('soon', 10)
    await time.advance(10)
    expect(started).toEqual([])
    queue.start()
    expect(started).toEqual(['now', 'soon'])
  })

  test('waits for running work when it stops, and starts nothing more', async () => {
    const { started, work, finish } = heldWork()
    const { queue, time } = aQueue(work)
    queue.start()
    for (const key of ['a', 'b']) queue.add(key)
    queue.add('a')
    queue.addAfter('c', 5)
    let drained: boolean | undefined
    void queue.stop(25_000).then((result) => (drained = result))
    await time.advance(24_000)
    expect(drained).toBeUndefined()
    await finish('a')
    expect(drained).toBe(true)
    queue.add('d')
    await time.advance(10_000)
    expect(started).toEqual(['a'])
    expect(time.waits).toEqual([])
  })

  test('aborts what still runs at the end of draining', async () => {
    const { signals, work } = heldWork()
    const { queue, time } = aQueue(work)
    queue.start()
    queue.add('a')
    const stopping = queue.stop(25_000)
    await time.advance(25_000)
    expect(await stopping).toBe(false)
    expect(signals.get('a')?.aborted).toBe(true)
  })
})

type Step =
  | { do: 'add'; key: string; priority: 'live' | 'resync' }
  | { do: 'addAfter'; key: string; ms: number }
  | { do: 'finish'; key: string; result: WorkResult }
  | { do: 'advance'; ms: number }

const key = fc.constantFrom('a', 'b', 'c', 'd')
const result: fc.Arbitrary<WorkResult> = fc.oneof(
  fc.constant(done),
  fc.constant<WorkResult>({ outcome: 'retry' }),
  fc.record({ outcome: fc.constant('done' as const), againAfterMs: fc.integer({ min: 0, max: 50 }) }),
)
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant('add' as const),
    key,
    priority: fc.constantFrom('live' as const, 'resync' as const),
  }),
  fc.record({ do: fc.constant('addAfter' as const), key, ms: fc.integer({ min: 0, max: 50 }) }),
  fc.record({ do: fc.constant('finish' as const), key, result }),
  fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 60 }) }),
)

describe('whatever happens to a work queue', () => {
  /** Runs the steps and then lets everything finish; `owed` holds keys added since their last start. */
  async function play(steps: readonly Step[], concurrency: number, timeoutMs: number) {
    const owed = new Set<string>()
    const running = new Map<string, (result: WorkResult) => void>()
    let twice = false
    let most = 0
    const work: WorkQueueOptions['work'] = (key) => {
      owed.delete(key)
      twice ||= running.has(key)
      return new Promise((resolve) => {
        running.set(key, resolve)
        most = Math.max(most, running.size)
      })
    }
    const { queue, time } = aQueue(work, { concurrency, timeoutMs })
    const finish = async (key: string, result: WorkResult): Promise<void> => {
      const resolve = running.get(key)
      running.delete(key)
      resolve?.(result)
      await settle()
    }
    queue.start()
    for (const next of steps) {
      if (next.do === 'advance') await time.advance(next.ms)
      if (next.do === 'finish') await finish(next.key, next.result)
      if (next.do === 'add' || next.do === 'addAfter') owed.add(next.key)
      if (next.do === 'add') queue.add(next.key, next.priority)
      if (next.do === 'addAfter') queue.addAfter(next.key, next.ms)
    }
    for (let round = 0; round < 50; round += 1) {
      for (const key of running.keys()) await finish(key, done)
      await time.advance(1000)
    }
    return { owed, twice, most, state: queue.state() }
  }

  test('no key is worked on twice at once, and no more keys than there are workers', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 40 }),
        fc.integer({ min: 1, max: 4 }),
        async (steps, workers) => {
          const { twice, most } = await play(steps, workers, 1_000_000_000)
          expect(twice).toBe(false)
          expect(most).toBeLessThanOrEqual(workers)
        },
      ),
      { numRuns: 400 },
    )
  })

  test('nothing added is lost, also when work takes longer than it may', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 40 }),
        fc.integer({ min: 1, max: 3 }),
        fc.constantFrom(20, 1_000_000_000),
        async (steps, workers, timeoutMs) => {
          const { owed, twice, state } = await play(steps, workers, timeoutMs)
          expect([...owed]).toEqual([])
          expect(twice).toBe(false)
          expect(state).toMatchObject({ depth: 0, processing: 0, waiting: 0, activeWorkers: 0 })
        },
      ),
      { numRuns: 400 },
    )
  })
})
