import pino from 'pino'
import { Registry } from 'prom-client'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { ApiError } from '../../../kubernetes/api-error.ts'
import { isSameStatus, setCondition, type Condition } from '../../../operator/runtime/conditions.ts'
import { EventRecorder, type EventNote } from '../../../operator/runtime/events.ts'
import { addFinalizer, hasFinalizer, removeFinalizer } from '../../../operator/runtime/finalizers.ts'
import { errorFields, type Log } from '../../../operator/runtime/log.ts'
import { createRuntimeMetrics } from '../../../operator/runtime/metrics.ts'
import { isOlderVersion, keyOf, parseKey } from '../../../operator/runtime/objects.ts'
import { Store } from '../../../operator/runtime/store.ts'
import { microTime, secondTime, systemTime } from '../../../operator/runtime/time.ts'
import { FakeApiServer, type Manifest } from './fake-api-server.ts'
import { apiOf, widgetsOf, widgetType, type Widget } from './fixtures.ts'
import { recordingLog } from '../../fixtures/recording-log.ts'
import { ManualTime } from './manual-time.ts'

let server: FakeApiServer

beforeEach(async () => {
  server = await FakeApiServer.start()
})

afterEach(() => server.stop())

describe('conditions', () => {
  const update = {
    type: 'Ready',
    status: 'False',
    reason: 'SecretNotFound',
    message: 'there is none',
  } as const
  const at = Date.UTC(2026, 0, 1)

  test('remember when their status changed, not when their message did', () => {
    const first = setCondition([], update, at)
    const second = setCondition(first, { ...update, message: 'still none' }, at + 60_000)
    const third = setCondition(second, { ...update, status: 'True', reason: 'Synced' }, at + 120_000)
    const times = [first, second, third].map(([condition]) => condition?.lastTransitionTime)
    expect(times).toEqual(['2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z', '2026-01-01T00:02:00Z'])
    expect(second[0]?.message).toBe('still none')
  })

  test('stay the same array when nothing changed', () => {
    const conditions = setCondition([], update, at)
    expect(setCondition(conditions, { ...update }, at + 60_000)).toBe(conditions)
    expect(setCondition(conditions, { ...update, observedGeneration: 2 }, at)).not.toBe(conditions)
  })

  test('keep their order, and are not changed in place', () => {
    const conditions = Object.freeze(
      setCondition(setCondition([], update, at), { ...update, type: 'Synced' }, at),
    )
    const changed = setCondition(conditions, { ...update, status: 'True' }, at)
    expect(changed.map(({ type }) => type)).toEqual(['Ready', 'Synced'])
    expect(conditions[0]?.status).toBe('False')
  })

  test('are compared as they are written: order of fields and undefined do not matter', () => {
    const [ready] = setCondition([], update, at) as [Condition]
    const { message, ...others } = ready
    expect(
      isSameStatus({ conditions: [ready] }, { other: undefined, conditions: [{ message, ...others }] }),
    ).toBe(true)
    expect(isSameStatus({ conditions: [ready] }, { conditions: [{ ...ready, message: 'x' }] })).toBe(false)
    expect(isSameStatus(undefined, {})).toBe(true)
  })
})

describe('an event recorder', () => {
  const events = '/apis/events.k8s.io/v1/namespaces/a/events'
  const regarding = {
    apiVersion: 'example.test/v1',
    kind: 'Widget',
    metadata: { name: 'one', namespace: 'a', uid: 'uid-1' },
  }
  const note: EventNote = {
    type: 'Warning',
    reason: 'SecretNotFound',
    action: 'Reconcile',
    note: 'there is none',
  }

  function aRecorder(options: object = {}) {
    const time = new ManualTime()
    const log = recordingLog()
    const recorder = new EventRecorder({
      api: apiOf(server),
      reportingController: 'example.test/operator',
      reportingInstance: 'pod-1',
      time,
      log,
      ...options,
    })
    return { recorder, time, log }
  }

  test('writes what happened to an object, beside it', async () => {
    const { recorder } = aRecorder()
    recorder.record(regarding, note)
    await recorder.flush()
    const [request] = server.asked('POST')
    expect(request?.path).toBe(events)
    expect(request?.body).toMatchObject({
      ...note,
      eventTime: expect.stringMatching(/\.\d{6}Z$/),
      regarding: { kind: 'Widget', name: 'one', namespace: 'a', uid: 'uid-1' },
      reportingController: 'example.test/operator',
    })
  })

  test('writes a thing once, and again when it changed', async () => {
    const { recorder } = aRecorder()
    for (const reason of ['A', 'A', 'B', 'B', 'A']) recorder.record(regarding, { ...note, reason })
    recorder.record(
      { ...regarding, metadata: { ...regarding.metadata, uid: 'uid-2' } },
      { ...note, reason: 'A' },
    )
    await recorder.flush()
    expect(server.asked('POST').map(({ body }) => (body as { reason: string }).reason)).toEqual([
      'A',
      'B',
      'A',
      'A',
    ])
  })

  test('drops the events of an object that flaps, and allows one a minute', async () => {
    const { recorder, time } = aRecorder({ burst: 3 })
    const flap = (): void => {
      for (let turn = 0; turn < 10; turn += 1) recorder.record(regarding, { ...note, note: `turn ${turn}` })
    }
    flap()
    await recorder.flush()
    expect(server.asked('POST')).toHaveLength(3)
    time.jump(60_000)
    flap()
    await recorder.flush()
    expect(server.asked('POST')).toHaveLength(4)
  })

  test('logs a write that failed, and tries when it is recorded again', async () => {
    const { recorder, log } = aRecorder()
    server.answerNext({ status: 500 })
    recorder.record(regarding, note)
    await recorder.flush()
    expect(log.lines.map(({ level }) => level)).toEqual(['warn'])
    recorder.record(regarding, note)
    await recorder.flush()
    expect(server.asked('POST')).toHaveLength(2)
  })
})

describe('finalizers', () => {
  const mine = 'example.test/cleanup'
  const put = (finalizers: string[]): Widget =>
    server.put(widgetsOf('a'), { metadata: { name: 'one', finalizers } }) as Widget
  const stored = (): Manifest | undefined => server.read(`${widgetsOf('a')}/one`)

  test('are added and removed without touching those of others', async () => {
    const added = await addFinalizer(apiOf(server), widgetType, put(['other']), mine)
    expect(stored()?.metadata.finalizers).toEqual(['other', mine])
    expect(hasFinalizer(added, mine)).toBe(true)
    await removeFinalizer(apiOf(server), widgetType, added, mine)
    expect(stored()?.metadata.finalizers).toEqual(['other'])
  })

  test('need no call when there is nothing to change', async () => {
    await addFinalizer(apiOf(server), widgetType, put([mine]), mine)
    await removeFinalizer(apiOf(server), widgetType, put([]), mine)
    expect(server.requests).toEqual([])
  })

  test('are not written over a newer object', async () => {
    const before = put([])
    put(['other'])
    const adding = addFinalizer(apiOf(server), widgetType, before, mine)
    await expect(adding).rejects.toMatchObject({ code: 'conflict' })
    expect(stored()?.metadata.finalizers).toEqual(['other'])
  })

  test('of an object that is gone are removed', async () => {
    const before = put([mine])
    server.remove(`${widgetsOf('a')}/one`)
    await removeFinalizer(apiOf(server), widgetType, before, mine)
  })
})

describe('a store', () => {
  const widget = (name: string, color: string): Widget => ({
    metadata: { name, namespace: 'a' },
    spec: { color },
  })

  test('finds objects by index, also those there before the index, and follows changes', () => {
    const store = new Store<Widget>(recordingLog())
    store.set(widget('one', 'red'))
    store.index('color', ({ spec }) => (spec?.color ? [spec.color] : []))
    store.set(widget('two', 'red'))
    const names = (color: string): string[] =>
      store.byIndex('color', color).map(({ metadata }) => metadata.name)
    const counts = (): number[] => ['red', 'blue'].map((color) => store.countByIndex('color', color))
    expect([names('red'), counts()]).toEqual([
      ['one', 'two'],
      [2, 0],
    ])
    store.set(widget('one', 'blue'))
    expect([names('red'), names('blue'), counts()]).toEqual([['two'], ['one'], [1, 1]])
    store.delete('a/one')
    expect(names('blue')).toEqual([])
  })

  test('keeps an object an index function throws for, and logs that', () => {
    const log = recordingLog()
    const store = new Store<Widget>(log)
    store.index('broken', () => {
      throw new Error('no')
    })
    store.set(widget('one', 'red'))
    expect(store.get('a/one')).toBeDefined()
    expect(log.lines[0]?.fields).toMatchObject({ index: 'broken', key: 'a/one' })
  })

  test('refuses an index of a taken name and one that does not exist', () => {
    const store = new Store<Widget>(recordingLog())
    store.index('color', () => [])
    expect(() => store.index('color', () => [])).toThrow('exists')
    expect(() => store.byIndex('size', '1')).toThrow('there is no index')
  })
})

describe('small things', () => {
  test('keys are read back as they are made', () => {
    expect(parseKey(keyOf({ metadata: { namespace: 'a', name: 'one' } }))).toEqual({
      namespace: 'a',
      name: 'one',
    })
    expect(parseKey(keyOf({ metadata: { name: 'one' } }))).toEqual({ name: 'one' })
  })

  test('versions compare as numbers of any length, and not at all when they are something else', () => {
    expect(isOlderVersion('9', '10')).toBe(true)
    expect(isOlderVersion('10', '9')).toBe(false)
    expect(isOlderVersion('18446744073709551614', '18446744073709551615')).toBe(true)
    expect(isOlderVersion('abc', '10')).toBe(false)
    expect(isOlderVersion(undefined, '10')).toBe(false)
  })

  test('times are written as Kubernetes reads them', () => {
    expect(microTime(1)).toBe('1970-01-01T00:00:00.001000Z')
    expect(secondTime(1999)).toBe('1970-01-01T00:00:01Z')
  })

  test('a wait of 30 days does not end at once', () => {
    vi.useFakeTimers()
    const run = vi.fn()
    const cancel = systemTime.after(30 * 86_400_000, run)
    vi.advanceTimersByTime(30 * 86_400_000 - 1)
    expect(run).not.toHaveBeenCalled()
    vi.advanceTimersByTime(1)
    expect(run).toHaveBeenCalledOnce()
    cancel()
    vi.useRealTimers()
  })

  test('a pino logger is a log, and errors become fields without their properties', () => {
    const log: Log = pino({ enabled: false })
    log.info(errorFields(new Error('no')), 'said')
    const error = Object.assign(new ApiError('conflict', 'changed'), { body: 'secret' })
    expect(errorFields(error)).toEqual({ error: 'ApiError: changed', code: 'conflict' })
    expect(errorFields('secret')).toEqual({ error: 'string' })
  })

  test('metrics have the names dashboards of controller-runtime expect', async () => {
    const registry = new Registry()
    const metrics = createRuntimeMetrics({ registry, prefix: 'example_operator' })
    metrics.reflector.changed('widgets', 3, 5000)
    metrics.reflector.restarted('widgets', 'gone')
    metrics.election.leading('operator', true)
    metrics.observeRequest({ method: 'GET', host: 'api', code: '200', seconds: 0.1 })
    const text = await registry.metrics()
    for (const line of [
      'example_operator_informer_objects{resource="widgets"} 3',
      'example_operator_informer_last_event_timestamp_seconds{resource="widgets"} 5',
      'example_operator_watch_restarts_total{resource="widgets",reason="gone"} 1',
      'leader_election_master_status{name="operator"} 1',
      'rest_client_requests_total{code="200",method="GET",host="api"} 1',
      'rest_client_request_duration_seconds_count{verb="GET",host="api"} 1',
    ]) {
      expect(text).toContain(line)
    }
  })
})
