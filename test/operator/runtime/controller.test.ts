import { Registry } from 'prom-client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ApiError } from '../../../kubernetes/api-error.ts'
import { Controller, TerminalError, type ControllerOptions } from '../../../operator/runtime/controller.ts'
import { createRuntimeMetrics } from '../../../operator/runtime/metrics.ts'
import { Reflector } from '../../../operator/runtime/reflector.ts'
import { FakeApiServer } from './fake-api-server.ts'
import { aWidget, apiOf, widgetsOf, widgetType, type Widget } from './fixtures.ts'
import { recordingLog } from '../../fixtures/recording-log.ts'
import { eventually, ManualTime, settle } from './manual-time.ts'

function aController(options: Partial<ControllerOptions> = {}) {
  const time = new ManualTime()
  const log = recordingLog()
  const registry = new Registry()
  const metrics = createRuntimeMetrics({ registry, prefix: 'test_operator' })
  const runs: string[] = []
  const controller = new Controller({
    name: 'widget',
    time,
    log,
    metrics: metrics.controller('widget', 10),
    reconcile: async (key, { priority }) => void runs.push(`${key} ${priority}`),
    ...options,
  })
  metrics.expose(controller)
  const value = async (metric: string, labels: Record<string, string>): Promise<number | undefined> => {
    const found = (await registry.getSingleMetric(metric)?.get())?.values ?? []
    return found.find((sample) =>
      Object.entries(labels).every(([name, value]) => sample.labels[name] === value),
    )?.value
  }
  return { controller, time, log, metrics, runs, value }
}

/** A controller whose reconcile fails as told, once. */
async function failingWith(error: unknown) {
  let runs = 0
  const parts = aController({
    reconcile: async () => {
      runs += 1
      if (runs === 1) throw error
    },
  })
  parts.controller.start()
  parts.controller.enqueue('a/one')
  await settle()
  return { ...parts, runs: () => runs }
}

describe('a controller', () => {
  test('shows its queue in the place of one of its name that was before, which nothing holds any more', async () => {
    const { controller, metrics, value } = aController()
    controller.enqueue('a/one')
    let looks = 0
    const former = { name: 'widget', state: () => ({ ...controller.state(), depth: (looks += 1) }) }
    metrics.expose(former)
    expect(await value('workqueue_depth', { name: 'widget' })).toBe(1)
    metrics.expose(controller)
    expect([await value('workqueue_depth', { name: 'widget' }), looks]).toEqual([1, 1])
  })

  test('runs nothing before it starts', async () => {
    const { controller, runs } = aController()
    controller.enqueue('a/one')
    await settle()
    expect(runs).toEqual([])
    controller.start()
    await settle()
    expect(runs).toEqual(['a/one live'])
  })

  test('tries again after a failure, and logs it with the object, the attempt and an id', async () => {
    const { time, log, runs, value } = await failingWith(new Error('no'))
    await time.advance(5)
    expect(runs()).toBe(2)
    expect(log.lines).toHaveLength(1)
    expect(log.lines[0]?.fields).toMatchObject({
      error: 'Error: no',
      controller: 'widget',
      namespace: 'a',
      name: 'one',
      failures: 1,
      reconcileID: expect.stringMatching(/^[0-9a-f-]{36}$/),
    })
    expect(await value('controller_runtime_reconcile_errors_total', { controller: 'widget' })).toBe(1)
    expect(await value('controller_runtime_reconcile_total', { result: 'error' })).toBe(1)
    expect(await value('controller_runtime_reconcile_total', { result: 'success' })).toBe(1)
    expect(await value('workqueue_retries_total', { name: 'widget' })).toBe(1)
    expect(await value('workqueue_adds_total', { name: 'widget' })).toBe(2)
  })

  test('does not try again after a TerminalError, until something adds the key', async () => {
    const { controller, time, runs, value } = await failingWith(new TerminalError('there is no such list'))
    await time.advance(2_000_000)
    expect(runs()).toBe(1)
    controller.enqueue('a/one')
    await settle()
    expect(runs()).toBe(2)
    expect(await value('controller_runtime_terminal_reconcile_errors_total', { controller: 'widget' })).toBe(
      1,
    )
  })

  test('waits as long as the server asked', async () => {
    const { time } = await failingWith(new ApiError('too-many-requests', 'slow down', { retryAfterMs: 9000 }))
    expect(time.waits).toEqual([9000])
  })

  test('counts a mistake in the program apart and logs it as an error', async () => {
    const { log, value } = await failingWith(new TypeError('undefined is not a function'))
    expect(log.lines.map(({ level }) => level)).toEqual(['error'])
    expect(await value('controller_runtime_reconcile_panics_total', { controller: 'widget' })).toBe(1)
  })

  test('is quiet about a conflict, which somebody else has won', async () => {
    const { log, time } = await failingWith(new ApiError('conflict', 'changed'))
    expect(log.lines.map(({ level }) => level)).toEqual(['debug'])
    expect(time.waits).toEqual([5])
  })

  test('runs a key again after requeueAfterMs', async () => {
    const { controller, time, value } = aController({ reconcile: async () => ({ requeueAfterMs: 60_000 }) })
    controller.start()
    controller.enqueue('a/one')
    await settle()
    expect(time.waits).toEqual([60_000])
    expect(await value('controller_runtime_reconcile_total', { result: 'requeue_after' })).toBe(1)
  })

  test('counts a reconcile beyond its time and aborts its signal', async () => {
    const { controller, time, value } = aController({
      timeoutMs: 500,
      reconcile: (_key, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('aborted')))
        }),
    })
    controller.start()
    controller.enqueue('a/one')
    await time.advance(500)
    expect(await value('controller_runtime_reconcile_timeouts_total', { controller: 'widget' })).toBe(1)
    expect(time.waits).toEqual([5])
  })

  test('shows its queue and workers while they work', async () => {
    const { controller, time, value } = aController({
      concurrency: 1,
      reconcile: () => new Promise(() => {}),
    })
    controller.start()
    for (const key of ['a/one', 'a/two', 'a/three']) controller.enqueue(key)
    time.jump(3000)
    expect(await value('workqueue_depth', { name: 'widget' })).toBe(2)
    expect(await value('controller_runtime_active_workers', { controller: 'widget' })).toBe(1)
    expect(await value('controller_runtime_max_concurrent_reconciles', { controller: 'widget' })).toBe(10)
    expect(await value('workqueue_longest_running_processor_seconds', { name: 'widget' })).toBe(3)
    expect(await value('workqueue_unfinished_work_seconds', { name: 'widget' })).toBe(3)
  })
})

describe('a controller that watches', () => {
  let server: FakeApiServer
  let stop: AbortController
  let source: Reflector<Widget>
  const widgets = widgetsOf('a')

  beforeEach(async () => {
    server = await FakeApiServer.start()
    stop = new AbortController()
    source = new Reflector<Widget>({
      api: apiOf(server),
      type: widgetType,
      time: new ManualTime(),
      random: Math.random,
      log: recordingLog(),
    })
  })

  afterEach(async () => {
    stop.abort()
    await server.stop()
  })

  async function follow(): Promise<void> {
    void source.run(stop.signal)
    await eventually('the watch is open', () => server.openWatches === 1)
  }

  test('reconciles what is there with low priority and what happens then with high priority', async () => {
    const { controller, runs } = aController()
    server.put(widgets, aWidget('old'))
    controller.watch(source)
    await follow()
    server.put(widgets, aWidget('new'))
    await eventually('both wait', () => controller.state().depth === 2)
    controller.start()
    await settle()
    expect(runs).toEqual(['a/new live', 'a/old resync'])
  })

  test('follows nothing any more once its signal has aborted', async () => {
    const [former, present] = [aController(), aController()]
    const term = new AbortController()
    former.controller.watch(source, { signal: term.signal })
    present.controller.watch(source)
    await follow()
    server.put(widgets, aWidget('one'))
    await eventually('both hear of it', () => present.controller.state().depth === 1)
    expect(former.controller.state().depth).toBe(1)
    term.abort()
    former.controller.watch(source, { signal: term.signal })
    server.put(widgets, aWidget('two'))
    await eventually('one hears of it', () => present.controller.state().depth === 2)
    expect(former.controller.state().depth).toBe(1)
  })

  test('ignores writes of the status, but not of labels, finalizers or the mark of deletion', async () => {
    const { controller, runs } = aController()
    controller.watch(source)
    controller.start()
    await follow()
    const put = async (change: object): Promise<void> => {
      const { resourceVersion } = server.put(widgets, {
        metadata: { name: 'one', generation: 1, ...change },
        status: { ready: runs.length },
      } as Parameters<FakeApiServer['put']>[1]).metadata
      await eventually('seen', () => source.store.get('a/one')?.metadata.resourceVersion === resourceVersion)
      await settle()
    }
    await put({})
    await put({})
    expect(runs).toHaveLength(1)
    await put({ labels: { a: 'b' } })
    await put({ labels: { a: 'b' }, finalizers: ['x/y'] })
    await put({ labels: { a: 'b' }, finalizers: ['x/y'], deletionTimestamp: '2026-01-01T00:00:00Z' })
    await put({
      generation: 2,
      labels: { a: 'b' },
      finalizers: ['x/y'],
      deletionTimestamp: '2026-01-01T00:00:00Z',
    })
    expect(runs).toHaveLength(5)
  })

  test('wakes the keys an object belongs to, those it left included', async () => {
    const { controller, runs } = aController()
    controller.watch(source, { keys: ({ spec }) => (spec?.color ? [`a/${spec.color}`] : []) })
    controller.start()
    await follow()
    server.put(widgets, { metadata: { name: 'one' }, spec: { color: 'red' } })
    await eventually('red ran', () => runs.length === 1)
    server.put(widgets, { metadata: { name: 'one' }, spec: { color: 'blue' } })
    await eventually('both ran', () => runs.length === 3)
    server.remove(`${widgets}/one`)
    await eventually('blue ran again', () => runs.length === 4)
    expect(runs.map((run) => run.split(' ')[0])).toEqual(['a/red', 'a/blue', 'a/red', 'a/blue'])
  })
})
