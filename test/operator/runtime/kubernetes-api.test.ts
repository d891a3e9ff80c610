import { getEventListeners } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KubeConfig } from '@kubernetes/client-node'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ApiError, type ApiErrorCode } from '../../../kubernetes/api-error.ts'
import { kubeConfigAccess, serviceAccountAccess } from '../../../kubernetes/cluster-access.ts'
import { KubernetesApi, type RequestObservation } from '../../../operator/runtime/kubernetes-api.ts'
import { FakeApiServer } from './fake-api-server.ts'
import { accessTo, aWidget, apiOf, secretType, widgetsOf, widgetType, type Widget } from './fixtures.ts'
import { eventually, ManualTime } from './manual-time.ts'

let server: FakeApiServer
let api: KubernetesApi

const widgets = widgetsOf('a')
const one = { namespace: 'a', name: 'one' }

beforeEach(async () => {
  server = await FakeApiServer.start()
  api = apiOf(server)
})

afterEach(async () => {
  api.close()
  await server.stop()
})

async function failureOf(call: Promise<unknown>): Promise<ApiError> {
  const error = await call.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!(error instanceof ApiError)) throw new Error(`expected an ApiError, got ${String(error)}`)
  return error
}

describe('the Kubernetes API', () => {
  test('creates, reads, replaces and deletes an object', async () => {
    const created = await api.create<Widget>(widgetType, { metadata: one, spec: { size: 1 } })
    expect((await api.get<Widget>(widgetType, one)).spec).toEqual({ size: 1 })
    await api.replace<Widget>(widgetType, { ...created, spec: { size: 2 } })
    expect((await api.get<Widget>(widgetType, one)).spec).toEqual({ size: 2 })
    await api.delete(widgetType, one)
    expect((await failureOf(api.get(widgetType, one))).code).toBe('not-found')
  })

  test('applies on the object and on its status, with field manager and force', async () => {
    const object = { apiVersion: 'example.test/v1', kind: 'Widget', metadata: one }
    await api.apply<Widget>(
      widgetType,
      { ...object, spec: { size: 1 } },
      { fieldManager: 'tests', force: false },
    )
    await api.applyStatus<Widget>(
      widgetType,
      { ...object, status: { ready: true } },
      { fieldManager: 'tests' },
    )
    const [apply, status] = server.asked('PATCH')
    expect(apply?.path).toBe(`${widgets}/one`)
    expect(status?.path).toBe(`${widgets}/one/status`)
    expect(apply?.headers['content-type']).toBe('application/apply-patch+yaml')
    expect(Object.fromEntries(apply?.query ?? [])).toEqual({ fieldManager: 'tests', force: 'false' })
    expect(Object.fromEntries(status?.query ?? [])).toEqual({ fieldManager: 'tests', force: 'true' })
  })

  test('patches only the version it was told', async () => {
    const { metadata } = server.put(widgets, aWidget('one'))
    server.put(widgets, aWidget('one', 2))
    const options = { resourceVersion: metadata.resourceVersion ?? '' }
    const patch = { metadata: { labels: { a: 'b' } } }
    expect((await failureOf(api.mergePatch(widgetType, one, patch, options))).code).toBe('conflict')
    expect((await api.mergePatch<Widget>(widgetType, one, patch)).metadata.labels).toEqual({ a: 'b' })
    await api.jsonPatch(widgetType, one, [{ op: 'remove', path: '/spec' }], options)
    expect(server.asked('PATCH').at(-1)?.body).toEqual([
      { op: 'test', path: '/metadata/resourceVersion', value: metadata.resourceVersion },
      { op: 'remove', path: '/spec' },
    ])
  })

  test('sends delete options in the body, never in the query', async () => {
    server.put(widgets, aWidget('one'))
    await api.delete(widgetType, one, { preconditions: { uid: 'uid-1' }, propagationPolicy: 'Background' })
    const [request] = server.asked('DELETE')
    expect(request?.query.size).toBe(0)
    expect(request?.body).toMatchObject({ preconditions: { uid: 'uid-1' }, propagationPolicy: 'Background' })
  })

  test('addresses the core group, cluster scope and names that need escaping', async () => {
    await failureOf(api.get(secretType, { namespace: 'a', name: 's' }))
    await failureOf(
      api.get({ group: '', version: 'v1', plural: 'nodes', namespaced: false }, { name: 'a b' }),
    )
    expect(server.requests.map(({ path }) => path)).toEqual([
      '/api/v1/namespaces/a/secrets/s',
      '/api/v1/nodes/a%20b',
    ])
  })

  test('asks for metadata only, and gets no data of a Secret', async () => {
    server.put('/api/v1/namespaces/a/secrets', { metadata: { name: 's' }, data: { password: 'c2VjcmV0' } })
    const { items } = await api.list(secretType, { metadataOnly: true })
    expect(JSON.stringify(items)).not.toContain('c2VjcmV0')
    expect(items).toHaveLength(1)
  })

  const codes: [number, string, ApiErrorCode][] = [
    [400, 'BadRequest', 'invalid'],
    [401, 'Unauthorized', 'unauthorized'],
    [403, 'Forbidden', 'forbidden'],
    [404, 'NotFound', 'not-found'],
    [409, 'Conflict', 'conflict'],
    [409, 'AlreadyExists', 'already-exists'],
    [410, 'Expired', 'gone'],
    [422, 'Invalid', 'invalid'],
    [429, 'TooManyRequests', 'too-many-requests'],
    [500, 'InternalError', 'server-error'],
    [503, 'ServiceUnavailable', 'server-error'],
    [504, 'Timeout', 'timeout'],
  ]
  test.each(codes)('answers %i %s become %s', async (status, reason, code) => {
    server.answerNext({ status, reason, message: 'what the server said' })
    const error = await failureOf(api.get(widgetType, one))
    expect(error).toMatchObject({ code, status, reason })
    expect(error.message).toContain('what the server said')
  })

  test('tells how long the server asked to wait, in milliseconds', async () => {
    server.answerNext({ status: 429, headers: { 'retry-after': '3' } })
    expect((await failureOf(api.get(widgetType, one))).retryAfterMs).toBe(3000)
    server.answerNext({ status: 429 })
    expect((await failureOf(api.get(widgetType, one))).retryAfterMs).toBeUndefined()
  })

  test('keeps tokens out of errors, and what the server says about Secrets', async () => {
    const quoting = { status: 422, reason: 'Invalid', message: 'data: Invalid value: "hunter2"' }
    server.answerNext(quoting)
    const error = await failureOf(api.create(secretType, { metadata: { namespace: 'a', name: 's' } }))
    expect(error.message).toBe('POST /api/v1/namespaces/a/secrets: 422 Invalid')
    const everything = JSON.stringify([error, error.message, error.stack, error.cause])
    expect(everything).not.toMatch(/hunter2|token-1/)
  })

  test('says unreachable when nobody listens or the answer is cut', async () => {
    const gone = await FakeApiServer.start()
    const other = apiOf(gone)
    await gone.stop()
    expect(await failureOf(other.get(widgetType, one))).toMatchObject({ code: 'unreachable', status: 0 })
  })

  test('gives up after its time limit', async () => {
    const time = new ManualTime()
    const limited = apiOf(server, { time })
    server.freeze(true)
    const failure = failureOf(limited.get(widgetType, one, { timeoutMs: 700 }))
    await eventually('the request arrived', () => server.requests.length === 1)
    await time.advance(700)
    expect((await failure).code).toBe('timeout')
    expect(time.waits).toEqual([])
  })

  test('rejects with the reason of the signal when the caller aborts', async () => {
    const caller = new AbortController()
    server.freeze(true)
    const call = api.get(widgetType, one, { signal: caller.signal })
    await eventually('the request arrived', () => server.requests.length === 1)
    caller.abort(new Error('enough'))
    await expect(call).rejects.toThrow('enough')
  })

  test('ends a watch with the reason of the signal', async () => {
    const caller = new AbortController()
    const events = await api.watch(widgetType, { resourceVersion: '100', signal: caller.signal })
    const next = events.next()
    caller.abort(new Error('enough'))
    await expect(next).rejects.toThrow('enough')
    await eventually('the watch is closed', () => server.openWatches === 0)
  })

  test('leaves nothing on the signal of the caller, however many requests and watches it serves', async () => {
    const caller = new AbortController()
    for (let round = 0; round < 3; round += 1) {
      await api.list(widgetType, { signal: caller.signal })
      const events = await api.watch(widgetType, { resourceVersion: '100', signal: caller.signal })
      server.endWatches()
      expect((await events.next()).done).toBe(true)
    }
    expect(getEventListeners(caller.signal, 'abort')).toEqual([])
  })

  test('closes the connection of a watch its reader leaves', async () => {
    const events = await api.watch(widgetType, { resourceVersion: '100' })
    server.put(widgets, aWidget('one'))
    for await (const event of events) {
      expect(event.type).toBe('ADDED')
      break
    }
    await eventually('the watch is closed', () => server.openWatches === 0)
  })

  test('reads an event that arrives in pieces, also within a character', async () => {
    const events = await api.watch<Widget>(widgetType, { resourceVersion: '100' })
    server.put(widgets, { metadata: { name: 'one' }, spec: { color: 'blåbær €'.repeat(20_000) } })
    const { value } = await events.next()
    expect(value).toMatchObject({ object: { spec: { color: 'blåbær €'.repeat(20_000) } } })
    await events.return()
  })

  test('keeps one connection for requests that follow each other', async () => {
    const ports = new Set<string>()
    for (let request = 0; request < 5; request += 1) {
      await api.list(widgetType)
      ports.add(String(server.requests.at(-1)?.port))
    }
    expect(ports.size).toBe(1)
  })

  test('sends a read again when the kept connection was closed meanwhile, but never a write', async () => {
    await api.list(widgetType)
    server.dropNext()
    expect((await api.list(widgetType)).items).toEqual([])
    server.dropNext()
    const error = await failureOf(api.create<Widget>(widgetType, { metadata: one }))
    expect(error.code).toBe('unreachable')
    expect(server.asked('POST')).toHaveLength(1)
  })

  test('does not send a read again when a new connection is closed', async () => {
    server.dropNext()
    expect((await failureOf(api.list(widgetType))).code).toBe('unreachable')
  })

  test('tells metrics about every request, also about one without an answer', async () => {
    const observed: RequestObservation[] = []
    const observing = apiOf(server, { observe: (observation) => observed.push(observation) })
    await observing.list(widgetType)
    await failureOf(observing.get(widgetType, one))
    await server.stop()
    await failureOf(observing.get(widgetType, one))
    server = await FakeApiServer.start()
    expect(observed.map(({ method, code }) => `${method} ${code}`)).toEqual([
      'GET 200',
      'GET 404',
      'GET <error>',
    ])
  })
})

describe('credentials', () => {
  let folder: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'service-account-'))
    await writeFile(join(folder, 'token'), 'first\n')
    await writeFile(join(folder, 'ca.crt'), '')
    await writeFile(join(folder, 'namespace'), 'home')
  })

  afterEach(() => rm(folder, { recursive: true }))

  const authorization = (): string | undefined => server.requests.at(-1)?.headers.authorization

  test('come from the mounted service account, and are read again every minute', async () => {
    const time = new ManualTime()
    const access = await serviceAccountAccess(server.url, time, folder)
    const mounted = new KubernetesApi({ access })
    await mounted.list(widgetType)
    expect(access.namespace).toBe('home')
    expect(authorization()).toBe('Bearer first')
    await writeFile(join(folder, 'token'), 'second')
    time.jump(59_999)
    await mounted.list(widgetType)
    expect(authorization()).toBe('Bearer first')
    time.jump(1)
    await mounted.list(widgetType)
    expect(authorization()).toBe('Bearer second')
  })

  test('are read again after 401', async () => {
    const mounted = new KubernetesApi({
      access: await serviceAccountAccess(server.url, new ManualTime(), folder),
    })
    await mounted.list(widgetType)
    await writeFile(join(folder, 'token'), 'second')
    server.answerNext({ status: 401 })
    await failureOf(mounted.list(widgetType))
    await mounted.list(widgetType)
    expect(authorization()).toBe('Bearer second')
  })

  test('come from a kubeconfig', async () => {
    const config = new KubeConfig()
    config.loadFromClusterAndUser(
      { name: 'fake', server: `${server.url}/`, skipTLSVerify: true },
      { name: 'user', token: 'from-kubeconfig' },
    )
    const configured = new KubernetesApi({ access: kubeConfigAccess(config) })
    await configured.list(widgetType)
    expect(authorization()).toBe('Bearer from-kubeconfig')
    expect(server.requests.at(-1)?.path).toBe('/apis/example.test/v1/widgets')
  })

  test('that cannot be read make the server unreachable, without a path in the message', async () => {
    const access = await serviceAccountAccess(server.url, new ManualTime(), join(folder, 'nothing'))
    const error = await failureOf(new KubernetesApi({ access }).list(widgetType))
    expect(error.code).toBe('unreachable')
    expect(error.message).not.toContain(folder)
  })

  test('are refused by name when the kubeconfig has no cluster', () => {
    expect(() => kubeConfigAccess(new KubeConfig())).toThrow('no current cluster')
    expect(accessTo(server).namespace).toBe('a')
  })
})
