import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Reflector, type ReflectorOptions } from '../../../operator/runtime/reflector.ts'
import { FakeApiServer } from './fake-api-server.ts'
import { aWidget, apiOf, widgetsOf, widgetType, type Widget } from './fixtures.ts'
import { recordingLog } from '../../fixtures/recording-log.ts'
import { eventually, ManualTime } from './manual-time.ts'

let server: FakeApiServer
let time: ManualTime
let log: ReturnType<typeof recordingLog>
let stop: AbortController
let restarts: string[]
let seen: string[]

const widgets = widgetsOf('a')

beforeEach(async () => {
  server = await FakeApiServer.start()
  time = new ManualTime()
  log = recordingLog()
  stop = new AbortController()
  restarts = []
  seen = []
})

afterEach(async () => {
  stop.abort()
  await server.stop()
})

function aReflector(options: Partial<ReflectorOptions<Widget>> = {}): Reflector<Widget> {
  const reflector = new Reflector<Widget>({
    api: apiOf(server),
    type: widgetType,
    time,
    random: () => 0,
    log,
    metrics: { changed() {}, restarted: (_resource, reason) => void restarts.push(reason) },
    ...options,
  })
  reflector.addHandler({
    added: ({ metadata }, initial) =>
      seen.push(`${initial ? 'initial' : 'added'} ${metadata.name} ${metadata.uid}`),
    updated: ({ metadata }) => seen.push(`updated ${metadata.name} ${metadata.uid}`),
    deleted: ({ metadata }) => seen.push(`deleted ${metadata.name} ${metadata.uid}`),
  })
  return reflector
}

async function started(options: Partial<ReflectorOptions<Widget>> = {}): Promise<Reflector<Widget>> {
  const reflector = aReflector(options)
  void reflector.run(stop.signal)
  await eventually('the watch is open', () => server.openWatches === (options.namespaces?.length ?? 1))
  return reflector
}

/** The only waits of an idle reflector are its own deadlines, which are longer than any back-off. */
const backoffWaits = (): number[] => time.waits.filter((ms) => ms <= 30_000)

async function failedOnce(): Promise<void> {
  await eventually('the reflector backs off', () => backoffWaits().length === 1)
}

async function recovered(): Promise<void> {
  await time.advance(30_000)
  await eventually('the watch is open again', () => server.openWatches === 1)
}

describe('a reflector', () => {
  test('holds what the server holds, and follows it', async () => {
    server.put(widgets, aWidget('one'))
    const reflector = await started()
    expect(reflector.store.get('a/one')?.spec).toEqual({ size: 1 })
    server.put(widgets, aWidget('one', 2))
    server.put(widgets, aWidget('two'))
    server.remove(`${widgets}/one`)
    await eventually('all is seen', () => seen.length === 4)
    expect(seen).toEqual(['initial one uid-1', 'updated one uid-1', 'added two uid-2', 'deleted one uid-1'])
    expect(reflector.store.keys()).toEqual(['a/two'])
  })

  test('waits no longer after a failure when it is told that the server answers again', async () => {
    server.answerNext({ status: 500, method: 'GET', isWatch: false, times: 8 })
    const reflector = aReflector()
    void reflector.run(stop.signal)
    for (let failure = 0; failure < 5; failure += 1) {
      await failedOnce()
      await time.advance(Number(backoffWaits()[0]))
    }
    await failedOnce()
    expect(backoffWaits()).toEqual([15_000])
    reflector.retryNow()
    // It does not serve everything at once.
    for (const waitMs of [800, 1_600]) {
      await eventually('the reflector backs off', () => backoffWaits()[0] === waitMs)
      await time.advance(waitMs)
    }
    await eventually('the watch is open', () => server.openWatches === 1)
    reflector.retryNow()
    expect(server.asked('GET', true)).toHaveLength(1)
  })

  test('lists from the cache of the server and watches with bookmarks and a time limit by chance', async () => {
    await started({ random: () => 0.5 })
    const [list] = server.asked('GET')
    const [watch] = server.asked('GET', true)
    expect(list?.query.get('resourceVersion')).toBe('0')
    expect(watch?.query.get('allowWatchBookmarks')).toBe('true')
    expect(watch?.query.get('timeoutSeconds')).toBe('450')
  })

  test('reads the newest state in pages when told so', async () => {
    server.pageLimit = 2
    for (const name of ['a', 'b', 'c', 'd', 'e']) server.put(widgets, aWidget(name))
    const reflector = await started({ lists: 'newest', pageSize: 2 })
    expect(reflector.store.size).toBe(5)
    expect(server.asked('GET').map(({ query }) => query.get('continue'))).toEqual([null, '2', '4'])
  })

  test('reads the newest state in pages again after 410', async () => {
    server.put(widgets, aWidget('one'))
    await started({ lists: 'newest' })
    server.sendError(410, 'Expired')
    await failedOnce()
    await recovered()
    expect(server.asked('GET').map(({ query }) => query.get('resourceVersion'))).toEqual([null, null])
  })

  test('has synced only when the whole list was read, and tells those who wait', async () => {
    server.answerNext({ status: 500, method: 'GET', isWatch: false })
    const reflector = aReflector()
    void reflector.run(stop.signal)
    await failedOnce()
    expect(reflector.hasSynced()).toBe(false)
    const waiting = reflector.waitForSync(new AbortController().signal)
    await recovered()
    await waiting
    expect(reflector.hasSynced()).toBe(true)
  })

  test('lets a waiting caller go when its signal aborts', async () => {
    const caller = new AbortController()
    const waiting = aReflector().waitForSync(caller.signal)
    caller.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
  })

  test('lists again after 410 on the watch, from the last known version, and finds what it missed', async () => {
    server.put(widgets, aWidget('one'))
    const reflector = await started()
    server.cutWatches()
    await failedOnce()
    server.put(widgets, aWidget('two'))
    server.remove(`${widgets}/one`)
    server.compact()
    await recovered()
    expect(restarts).toEqual(['unreachable', 'gone'])
    expect(log.lines.map(({ level }) => level).filter((level) => level === 'warn')).toHaveLength(1)
    expect(seen).toEqual(['initial one uid-1', 'added two uid-2', 'deleted one uid-1'])
    expect(reflector.store.keys()).toEqual(['a/two'])
    expect(server.asked('GET').map(({ query }) => query.get('resourceVersion'))).toEqual(['0', '101'])
  })

  test('lists again after an ERROR event that says 410, from the last event', async () => {
    await started()
    server.put(widgets, aWidget('one'))
    await eventually('one is seen', () => seen.length === 1)
    server.sendError(410, 'Expired')
    await failedOnce()
    await recovered()
    expect(restarts).toEqual(['gone'])
    expect(log.lines.map(({ level }) => level)).not.toContain('warn')
    expect(server.asked('GET').map(({ query }) => query.get('resourceVersion'))).toEqual(['0', '101'])
  })

  test('lists at once after 410 when the last list is old enough, however long it would wait otherwise', async () => {
    await started()
    server.answerNext({ status: 500, isWatch: true, times: 5 })
    server.cutWatches()
    for (let failure = 1; failure <= 6; failure += 1) {
      await eventually('a watch failed', () => restarts.length === failure && backoffWaits().length === 1)
      server.put(widgets, aWidget('one'))
      server.compact()
      await time.advance(backoffWaits()[0] ?? 0)
    }
    await eventually('the watch is open again', () => server.openWatches === 1)
    expect(restarts.slice(-2)).toEqual(['server-error', 'gone'])
    expect(seen).toEqual(['added one uid-1'])
  })

  test('asks for the newest list when the server does not have the version it knows', async () => {
    await started()
    server.sendError(410, 'Expired')
    await failedOnce()
    server.answerNext({
      status: 504,
      reason: 'Timeout',
      message: 'Too large resource version',
      isWatch: false,
    })
    await time.advance(2000)
    await failedOnce()
    await recovered()
    expect(server.asked('GET').map(({ query }) => query.get('resourceVersion'))).toEqual(['0', '100', null])
  })

  test('resumes after an ERROR event that is not 410, without a list', async () => {
    await started()
    server.sendError(500, 'InternalError')
    await failedOnce()
    await recovered()
    expect(restarts).toEqual(['server-error'])
    expect(server.asked('GET')).toHaveLength(1)
  })

  test('resumes where it was when a watch ends within a line', async () => {
    await started()
    server.put(widgets, aWidget('one'))
    await eventually('one is seen', () => seen.length === 1)
    server.endWatchesWithinALine()
    await failedOnce()
    server.put(widgets, aWidget('two'))
    await recovered()
    await eventually('two is seen', () => seen.length === 2)
    expect(restarts).toEqual(['unreachable'])
    expect(seen).toEqual(['added one uid-1', 'added two uid-2'])
    expect(server.asked('GET')).toHaveLength(1)
  })

  test('resumes from a bookmark', async () => {
    const reflector = await started()
    await time.advance(1)
    server.bookmark()
    await eventually('the bookmark is seen', () => reflector.lastContact() === time.monotonic())
    server.cutWatches()
    await failedOnce()
    await recovered()
    expect(server.asked('GET', true).map(({ query }) => query.get('resourceVersion'))).toEqual(['100', '101'])
  })

  test('ends a half-open watch itself, five seconds after the server should have', async () => {
    await started()
    server.freeze(true)
    server.put(widgets, aWidget('one'))
    await time.advance(304_999)
    expect(server.asked('GET', true)).toHaveLength(1)
    server.freeze(false)
    await time.advance(1)
    await eventually('one is seen', () => seen.length === 1)
    expect(server.asked('GET', true)).toHaveLength(2)
    expect(restarts).toEqual(['timeout'])
  })

  test('opens the next watch at once when the server ends one that brought news', async () => {
    await started()
    server.put(widgets, aWidget('one'))
    await eventually('one is seen', () => seen.length === 1)
    server.endWatches()
    await eventually('the next watch is open', () => server.asked('GET', true).length === 2)
    expect(restarts).toEqual([])
  })

  test('waits when the server ends a watch at once without news', async () => {
    await started()
    server.endWatches()
    await failedOnce()
    expect(restarts).toEqual(['ended-early'])
  })

  test('waits as long as Retry-After says after 429', async () => {
    server.answerNext({ status: 429, headers: { 'retry-after': '17' } })
    aReflector().run(stop.signal)
    await failedOnce()
    expect(backoffWaits()).toEqual([17_000])
    expect(restarts).toEqual(['too-many-requests'])
  })

  test('waits longer and longer, by chance up to 30 s, while lists fail', async () => {
    server.answerNext({ status: 500, times: 7 })
    aReflector({ random: () => 0.999_999 }).run(stop.signal)
    const waits: number[] = []
    for (let attempt = 1; attempt <= 7; attempt += 1) {
      await eventually('a list failed', () => restarts.length === attempt && backoffWaits().length === 1)
      waits.push(Math.round((backoffWaits()[0] ?? 0) / 100) / 10)
      await time.advance(backoffWaits()[0] ?? 0)
    }
    expect(waits).toEqual([1.6, 3.2, 6.4, 12.8, 25.6, 30, 30])
    await eventually('the watch is open', () => server.openWatches === 1)
  })

  test('starts with short waits again after a healthy minute, and not before', async () => {
    server.answerNext({ status: 500, times: 3 })
    aReflector().run(stop.signal)
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      await eventually('a list failed', () => restarts.length === attempt && backoffWaits().length === 1)
      await time.advance(backoffWaits()[0] ?? 0)
    }
    await eventually('the watch is open', () => server.openWatches === 1)
    await time.advance(59_000)
    server.cutWatches()
    await failedOnce()
    expect(backoffWaits()).toEqual([6400])
    await recovered()
    await time.advance(60_000)
    server.cutWatches()
    await failedOnce()
    expect(backoffWaits()).toEqual([800])
  })

  test('comes back by itself after 401', async () => {
    server.answerNext({ status: 401, times: 2 })
    const reflector = aReflector()
    void reflector.run(stop.signal)
    await failedOnce()
    await recovered()
    expect(reflector.hasSynced()).toBe(true)
    expect(restarts).toEqual(['unauthorized', 'unauthorized'])
  })

  test('comes back by itself after the server was away', async () => {
    const down = await FakeApiServer.start()
    let api = apiOf(down)
    await down.stop()
    const reflector = aReflector({
      api: { list: (...call) => api.list(...call), watch: (...call) => api.watch(...call) },
    })
    void reflector.run(stop.signal)
    await failedOnce()
    expect(restarts).toEqual(['unreachable'])
    api = apiOf(server)
    await recovered()
    expect(reflector.hasSynced()).toBe(true)
  })

  test('survives an event that is not JSON and one without an object', async () => {
    await started()
    server.sendLine('this is not JSON')
    await failedOnce()
    await recovered()
    server.sendLine('{"type":"ADDED","object":null}')
    await failedOnce()
    await recovered()
    server.put(widgets, aWidget('one'))
    await eventually('one is seen', () => seen.length === 1)
    expect(restarts).toEqual(['server-error', 'error'])
    expect(JSON.stringify(log.lines)).not.toContain('this is not JSON')
  })

  test('tells each change once when events repeat', async () => {
    await started()
    const object = server.put(widgets, aWidget('one'))
    server.sendLine(JSON.stringify({ type: 'ADDED', object }))
    server.sendLine(JSON.stringify({ type: 'MODIFIED', object }))
    server.put(widgets, aWidget('last'))
    await eventually('the last is seen', () => seen.some((line) => line.includes('last')))
    expect(seen).toEqual(['added one uid-1', 'added last uid-2'])
  })

  test('keeps the newer state when an older event comes late', async () => {
    const reflector = await started()
    const older = server.put(widgets, aWidget('one', 1))
    server.put(widgets, aWidget('one', 2))
    server.sendLine(JSON.stringify({ type: 'MODIFIED', object: older }))
    server.put(widgets, aWidget('last'))
    await eventually('the last is seen', () => seen.some((line) => line.includes('last')))
    expect(reflector.store.get('a/one')?.spec?.size).toBe(2)
  })

  test('does not bring a deleted object back when an event of it comes late', async () => {
    const reflector = await started()
    const older = server.put(widgets, aWidget('one'))
    server.remove(`${widgets}/one`)
    server.sendLine(JSON.stringify({ type: 'MODIFIED', object: older }))
    server.put(widgets, aWidget('last'))
    await eventually('the last is seen', () => seen.some((line) => line.includes('last')))
    expect(reflector.store.keys()).toEqual(['a/last'])
  })

  test('keeps the new object when the deletion of its predecessor comes late', async () => {
    const reflector = await started()
    const first = server.put(widgets, aWidget('one'))
    server.remove(`${widgets}/one`)
    server.put(widgets, aWidget('one', 2))
    server.sendLine(JSON.stringify({ type: 'DELETED', object: first }))
    server.put(widgets, aWidget('last'))
    await eventually('the last is seen', () => seen.some((line) => line.includes('last')))
    expect(reflector.store.get('a/one')?.spec?.size).toBe(2)
  })

  test('sees an object deleted and created anew while it was away as a deletion and an addition', async () => {
    server.put(widgets, aWidget('one'))
    await started()
    server.cutWatches()
    await failedOnce()
    server.remove(`${widgets}/one`)
    server.put(widgets, aWidget('one'))
    server.compact()
    await recovered()
    expect(seen).toEqual(['initial one uid-1', 'deleted one uid-1', 'added one uid-2'])
  })

  test('calls the other handlers when one throws or rejects, and says so in the log', async () => {
    const reflector = aReflector()
    reflector.addHandler({
      added() {
        throw new Error('thrown by a handler')
      },
    })
    reflector.addHandler({
      async added() {
        throw new Error('rejected by a handler')
      },
    })
    const after: string[] = []
    reflector.addHandler({ added: ({ metadata }) => void after.push(metadata.name) })
    void reflector.run(stop.signal)
    await eventually('the watch is open', () => server.openWatches === 1)
    server.put(widgets, aWidget('one'))
    server.put(widgets, aWidget('two'))
    await eventually('both are seen', () => after.length === 2)
    expect(restarts).toEqual([])
    const errors = log.lines.filter(({ level }) => level === 'error').map(({ fields }) => fields['error'])
    expect(errors).toContain('Error: thrown by a handler')
    expect(errors).toContain('Error: rejected by a handler')
  })

  test('drops managedFields and the last-applied annotation, and what transform drops', async () => {
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': '{}', kept: 'yes' }
    server.put(widgets, { ...aWidget('one'), metadata: { name: 'one', managedFields: [{}], annotations } })
    const reflector = await started({ transform: ({ metadata }) => ({ metadata }) })
    const one = reflector.store.get('a/one')
    expect(one?.metadata.managedFields).toBeUndefined()
    expect(one?.metadata.annotations).toEqual({ kept: 'yes' })
    expect(one?.spec).toBeUndefined()
  })

  test('asks for metadata only when told so', async () => {
    server.put(widgets, aWidget('one'))
    const reflector = await started({ metadataOnly: true })
    server.put(widgets, aWidget('two'))
    await eventually('two is seen', () => seen.length === 2)
    expect(reflector.store.list().map(({ spec }) => spec)).toEqual([undefined, undefined])
    const accepted = server.requests.map(({ headers }) => headers.accept)
    expect(accepted).toEqual([
      'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1',
      'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1',
    ])
  })

  test('watches only the namespaces it is given, and syncs when all are read', async () => {
    server.put(widgetsOf('a'), aWidget('one'))
    server.put(widgetsOf('b'), aWidget('two'))
    server.put(widgetsOf('c'), aWidget('three'))
    const reflector = await started({ namespaces: ['a', 'b'] })
    expect(reflector.store.keys().sort()).toEqual(['a/one', 'b/two'])
    expect(reflector.hasSynced()).toBe(true)
    expect(server.requests.every(({ path }) => /namespaces\/[ab]\//.test(path))).toBe(true)
  })

  test('keeps the objects of other namespaces when one is listed again', async () => {
    server.put(widgetsOf('a'), aWidget('one'))
    server.put(widgetsOf('b'), aWidget('two'))
    const reflector = await started({ namespaces: ['a', 'b'] })
    server.sendError(410, 'Expired')
    await eventually('both back off', () => backoffWaits().length === 2)
    await time.advance(2000)
    await eventually('both watch', () => server.openWatches === 2)
    expect(reflector.store.keys().sort()).toEqual(['a/one', 'b/two'])
    expect(seen).toHaveLength(2)
  })

  test('does not run twice at once', async () => {
    const reflector = await started()
    expect(() => reflector.run(stop.signal)).toThrow('already running')
    expect(server.openWatches).toBe(1)
  })

  test('ends when its signal aborts, and leaves no timer and no connection', async () => {
    const reflector = aReflector()
    const running = reflector.run(stop.signal)
    await eventually('the watch is open', () => server.openWatches === 1)
    stop.abort()
    await running
    expect(time.waits).toEqual([])
    await eventually('the watch is closed', () => server.openWatches === 0)
    expect(restarts).toEqual([])
  })

  test('tells a handler that comes late what there is', async () => {
    server.put(widgets, aWidget('one'))
    const reflector = await started()
    const late: string[] = []
    reflector.addHandler({ added: ({ metadata }, initial) => void late.push(`${metadata.name} ${initial}`) })
    expect(late).toEqual(['one true'])
  })
})
