import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ResourceOf } from '#core/resources/index.ts'
import { ClusterCache } from '../../operator/kubernetes/cluster-cache.ts'
import { KubernetesHost } from '../../operator/kubernetes/kubernetes-host.ts'
import type { KubernetesApi } from '../../operator/runtime/kubernetes-api.ts'
import { systemTime } from '../../operator/runtime/time.ts'
import { FakeApiServer } from './runtime/fake-api-server.ts'
import { apiOf } from './runtime/fixtures.ts'
import { recordingLog } from '../fixtures/recording-log.ts'
import { eventually } from './runtime/manual-time.ts'

const users = '/apis/cloudsignal.app/v1alpha1/namespaces/a/mqttusers'
const secrets = '/api/v1/namespaces/a/secrets'
const owner = { kind: 'MqttUser', name: 'ada', uid: 'uid-ada' } as const
const newSecret = {
  namespace: 'a',
  name: 'ada-mqtt',
  type: 'kubernetes.io/basic-auth',
  owner,
  labels: { team: 'x' },
  annotations: {},
  data: { password: 'Pässword' },
}

describe('resources of a cluster', () => {
  let server: FakeApiServer
  let api: KubernetesApi
  let cache: ClusterCache
  let host: KubernetesHost
  let stop: AbortController
  const events: unknown[] = []

  beforeEach(async () => {
    server = await FakeApiServer.start()
    server.put(users, {
      apiVersion: 'cloudsignal.app/v1alpha1',
      kind: 'MqttUser',
      metadata: { name: 'ada', generation: 1 },
      spec: { organizationRef: { name: 'acme' } },
    })
    api = apiOf(server)
    stop = new AbortController()
    const metrics = { changed() {}, restarted() {} }
    cache = new ClusterCache({ api, time: systemTime, random: Math.random, log: recordingLog(), metrics })
    host = new KubernetesHost({ api, cache, events: { record: (...event) => events.push(event) } })
    void cache.run(stop.signal)
    await cache.waitForSync(AbortSignal.timeout(5_000))
  })
  afterEach(async () => {
    stop.abort()
    api.close()
    await server.stop()
  })

  const ada = (): ResourceOf['MqttUser'] => {
    const user = host.get('MqttUser', 'a', 'ada')
    if (user === undefined) throw new Error('there is no ada')
    return user
  }

  test('are there by name and in lists, and not when they are not', () => {
    expect(ada().spec).toEqual({ organizationRef: { name: 'acme' } })
    expect(host.list('MqttUser').map(({ metadata }) => metadata.name)).toEqual(['ada'])
    expect(host.get('MqttUser', 'b', 'ada')).toBeUndefined()
    expect(host.get('ApiKey', 'a', 'ada')).toBeUndefined()
    expect(host.list('Organization')).toEqual([])
  })

  test('are never older than what we have written ourselves', async () => {
    await host.addFinalizer('MqttUser', ada())
    expect(ada().metadata.finalizers).toEqual(['cloudsignal.app/records'])
    await host.writeStatus('MqttUser', ada(), { username: 'ada@org' })
    expect(ada().status).toEqual({ username: 'ada@org' })
    expect(ada().metadata.finalizers).toEqual(['cloudsignal.app/records'])
  })

  test('are found by what they are looked for', async () => {
    const names = (index: 'username' | 'refusal', value: string): string[] =>
      host.find('MqttUser', index, value).map(({ metadata }) => metadata.name)
    server.put(users, {
      metadata: { name: 'bob', generation: 1 },
      spec: { organizationRef: { name: 'acme' }, username: 'ada' },
    })
    await eventually('both are found', () => names('username', 'a/acme/ada').join() === 'ada,bob')
    expect(names('username', 'a/other/ada')).toEqual([])
    expect(host.count('MqttUser', 'organization', 'a/acme')).toBe(2)
    expect(host.count('MqttUser', 'organization', 'a/other')).toBe(0)
    expect(names('refusal', 'UsernameConflict')).toEqual([])
  })

  test('are found by what we have written ourselves, before it was seen', async () => {
    stop.abort()
    const conditions = [
      { type: 'Ready', status: 'False', reason: 'UsernameConflict', message: '', lastTransitionTime: '' },
    ] as const
    await host.writeStatus('MqttUser', ada(), { conditions: [...conditions] })
    expect(cache.of('MqttUser').store.get('a/ada')?.status).toBeUndefined()
    const found = (): string[] =>
      host.find('MqttUser', 'refusal', 'UsernameConflict').map(({ metadata }) => metadata.name)
    expect(found()).toEqual(['ada'])
    await host.writeStatus('MqttUser', ada(), {})
    expect(found()).toEqual([])
  })

  test('are asked for in pages', () => {
    const lists = server.asked('GET').filter(({ path }) => path.endsWith('/mqttusers'))
    expect(lists.map(({ query }) => [query.get('limit'), query.get('resourceVersion')])).toEqual([
      ['500', null],
    ])
  })

  test('show what others have written since', async () => {
    await host.writeStatus('MqttUser', ada(), { username: 'ada@org' })
    server.put(users, { ...ada(), metadata: { name: 'ada' }, status: { username: 'other' } })
    await eventually('the change is seen', () => ada().status?.username === 'other')
  })

  test('a status names the uid, so that it never reaches another object of the name', async () => {
    const { uid } = ada().metadata
    await host.writeStatus('MqttUser', ada(), { username: 'ada@org' })
    const [request] = server.asked('PATCH')
    expect(request?.path).toBe(`${users}/ada/status`)
    expect(request?.query.get('fieldManager')).toBe('cloudsignal-operator')
    expect(request?.body).toMatchObject({ metadata: { name: 'ada', namespace: 'a', uid } })
  })

  test('a finalizer is asked for once, and taken away once', async () => {
    await host.addFinalizer('MqttUser', ada())
    await host.addFinalizer('MqttUser', ada())
    expect(server.asked('PATCH')).toHaveLength(1)
    await host.removeFinalizer('MqttUser', ada())
    await eventually('it is gone', () => (ada().metadata.finalizers ?? []).length === 0)
    await host.removeFinalizer('MqttUser', ada())
    expect(server.asked('PATCH')).toHaveLength(2)
  })

  test('a Secret is made for its owner, in base64, and read back as text', async () => {
    expect(await host.readSecret('a', 'ada-mqtt')).toBeUndefined()
    const made = await host.createSecret(newSecret)
    expect(server.asked('POST')[0]?.body).toMatchObject({
      kind: 'Secret',
      type: 'kubernetes.io/basic-auth',
      metadata: {
        labels: { team: 'x', 'app.kubernetes.io/managed-by': 'cloudsignal-operator' },
        ownerReferences: [{ apiVersion: 'cloudsignal.app/v1alpha1', ...owner, controller: true }],
      },
      data: { password: Buffer.from('Pässword').toString('base64') },
    })
    expect(made).toEqual(await host.readSecret('a', 'ada-mqtt'))
    expect(made).toMatchObject({
      ownerUid: 'uid-ada',
      data: { password: 'Pässword' },
    })
  })

  test('the version of a Secret is known without asking, once it was seen', async () => {
    expect(host.secretVersion('a', 'ada-mqtt')).toBeUndefined()
    const version = (await host.createSecret(newSecret))?.version
    await eventually('it is seen', () => host.secretVersion('a', 'ada-mqtt') === version)
    expect(server.asked('GET').filter(({ path }) => path === `${secrets}/ada-mqtt`)).toEqual([])
  })

  test('values are put into a Secret as it was read, and into no other', async () => {
    await host.createSecret(newSecret)
    const read = await host.readSecret('a', 'ada-mqtt')
    if (read === undefined) throw new Error('there is no Secret')
    await host.updateSecret(read, { rotation: 'stäte' })
    const changed = await host.readSecret('a', 'ada-mqtt')
    expect(changed).toMatchObject({ ownerUid: 'uid-ada', data: { password: 'Pässword', rotation: 'stäte' } })
    expect(changed?.version).not.toBe(read.version)
    await expect(host.updateSecret(read, { password: 'late' })).rejects.toMatchObject({ code: 'conflict' })
    expect((await host.readSecret('a', 'ada-mqtt'))?.data['password']).toBe('Pässword')
  })

  test('a Secret that is there is left alone', async () => {
    server.put(secrets, { metadata: { name: 'ada-mqtt' }, data: {} })
    expect(await host.createSecret(newSecret)).toBeUndefined()
    expect((await host.readSecret('a', 'ada-mqtt'))?.ownerUid).toBeUndefined()
  })

  test('a Secret that can not be read is not one that is absent', async () => {
    server.answerNext({ method: 'GET', isWatch: false, status: 500, times: 1 })
    await expect(host.readSecret('a', 'ada-mqtt')).rejects.toMatchObject({ code: 'server-error' })
  })

  test('a version of a Secret that was read for an object is no news to it, but to others that share the Secret', async () => {
    const spec = { organizationRef: { name: 'acme' }, passwordSecretRef: { name: 'own' } }
    server.put(users, { metadata: { name: 'bob', generation: 1 }, spec })
    server.put(users, { metadata: { name: 'eve', generation: 1 }, spec })
    await eventually('both are seen', () => host.list('MqttUser').length === 3)
    const of = (name: string) => ({ kind: 'MqttUser', namespace: 'a', name }) as const
    const first = server.put(secrets, { metadata: { name: 'own' }, data: {} })
    expect(host.unawareOf(first)).toEqual([of('bob'), of('eve')])
    await host.readSecret('a', 'own', of('bob'))
    expect(host.unawareOf(first)).toEqual([of('eve')])
    await host.readSecret('a', 'own', of('eve'))
    expect(host.unawareOf(first)).toEqual([])
    expect(host.concernedBy(first)).toEqual([of('bob'), of('eve')])
    const second = server.put(secrets, { metadata: { name: 'own' }, data: {} })
    expect(host.unawareOf(second)).toEqual([of('bob'), of('eve')])
    await host.readSecret('a', 'own')
    expect(host.unawareOf(second)).toEqual([of('bob'), of('eve')])
  })

  test('a Secret that was made for an object is no news to it', async () => {
    await host.createSecret(newSecret)
    await eventually('it is seen', () => cache.secrets.store.size === 1)
    const [made] = cache.secrets.store.list()
    if (made === undefined) throw new Error('there is no Secret')
    expect(host.concernedBy(made)).toHaveLength(1)
    expect(host.unawareOf(made)).toEqual([])
  })

  test('what is in Secrets is neither listed nor watched', async () => {
    server.put(secrets, { metadata: { name: 'own' }, data: { password: 'x' } })
    await eventually('the Secret is seen', () => cache.secrets.store.size === 1)
    const asked = server.requests.filter(({ path }) => path.endsWith('/secrets'))
    expect(asked.length).toBeGreaterThan(1)
    for (const { headers } of asked) expect(headers.accept).toContain('PartialObjectMetadata')
  })

  test('a Secret concerns those who refer to it or whose own it is', () => {
    expect(cache.namesBySecret('MqttUser', 'a', 'ada-mqtt')).toEqual([{ namespace: 'a', name: 'ada' }])
    expect(cache.namesBySecret('MqttUser', 'b', 'ada-mqtt')).toEqual([])
    expect(cache.namesBySecret('MqttUser', 'a', 'other')).toEqual([])
  })

  test('an event is about the object', () => {
    host.event('MqttUser', ada(), { type: 'Warning', reason: 'NoAccess', message: 'none' })
    expect(events.at(-1)).toMatchObject([
      { kind: 'MqttUser', metadata: { name: 'ada' } },
      { type: 'Warning', reason: 'NoAccess', action: 'Reconcile', note: 'none' },
    ])
  })

  test('are not written any more by one that leads no more, and can still be read', async () => {
    let leads = true
    const record = (...event: unknown[]): void => void events.push(event)
    const own = new KubernetesHost({ api, cache, events: { record }, mayWrite: () => leads })
    expect(await own.createSecret(newSecret)).toMatchObject({ name: 'ada-mqtt' })
    const secret = await own.readSecret('a', 'ada-mqtt')
    leads = false
    const over = { code: 'superseded' }
    await expect(own.createSecret({ ...newSecret, name: 'other' })).rejects.toMatchObject(over)
    await expect(own.updateSecret(secret ?? { ...newSecret, version: '' }, {})).rejects.toMatchObject(over)
    await expect(own.addFinalizer('MqttUser', ada())).rejects.toMatchObject(over)
    await expect(own.writeStatus('MqttUser', ada(), { username: 'x' })).rejects.toMatchObject(over)
    expect(await own.readSecret('a', 'ada-mqtt')).toEqual(secret)
    expect(server.read(`${users}/ada`)?.status).toBeUndefined()
  })
})
