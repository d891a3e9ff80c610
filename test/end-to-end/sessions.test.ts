import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { emptyPolicy } from '#core/access/access-policy.ts'
import { generateSecret } from '#core/credentials/secret.ts'
import { useClients, everything, type TestClient } from '../fixtures/broker.ts'
import { type BrokerReplicas, startBrokerReplicas } from '../fixtures/broker-replicas.ts'
import { eventually } from '../fixtures/eventually.ts'
import { type RunningProgram, startProgram } from '../fixtures/program.ts'
import {
  aCredential,
  anApiKey,
  anOrganization,
  anOrganizationId as org,
  anotherOrganizationId,
  aUser,
} from '../fixtures/records.ts'

interface Shown {
  readonly id: string
  readonly principal: string
  readonly client_id: string
  readonly connection?: Readonly<Record<string, string>> & { readonly subscriptions?: string[] }
  readonly stored?: { readonly subscriptions: string[]; readonly queued: number; readonly ends_at?: string }
}

const keys = { own: generateSecret('sk'), foreign: generateSecret('sk'), weak: generateSecret('sk') }
const access = { ...emptyPolicy, rules: [...everything] }
let place: BrokerReplicas
let tokenService: RunningProgram
let api: string

beforeAll(async () => {
  place = await startBrokerReplicas()
  const { identities } = place
  for (const each of [org, anotherOrganizationId]) {
    await identities.put('organization', each, 'organization', anOrganization())
    await identities.put('user', each, 'ada', aUser('ada', 'ada-password', { access }, each))
  }
  const scopes = { scopes: ['sessions'] as const }
  await identities.put('api-key', org, 'own', anApiKey('own', keys.own, { scopes: [...scopes.scopes] }))
  await identities.put('api-key', org, 'weak', anApiKey('weak', keys.weak, { scopes: ['exchange'] }))
  const foreign = anApiKey('foreign', keys.foreign, { scopes: [...scopes.scopes] }, anotherOrganizationId)
  await identities.put('api-key', anotherOrganizationId, 'foreign', foreign)
  await identities.markReady()
  tokenService = startProgram('token-service', {
    CLOUDSIGNAL_REDIS_URL: place.server.url,
    CLOUDSIGNAL_PROBE_PORT: '0',
    CLOUDSIGNAL_PROBE_HOST: '127.0.0.1',
    CLOUDSIGNAL_TOKEN_SERVICE_HTTP_PORT: '0',
    CLOUDSIGNAL_TOKEN_SERVICE_HTTP_HOST: '127.0.0.1',
    // Tests look again and again.
    CLOUDSIGNAL_TOKEN_SERVICE_KEY_PER_MINUTE: '1000000',
    CLOUDSIGNAL_TOKEN_SERVICE_ORGANIZATION_PER_MINUTE: '1000000',
  })
  const { port } = await tokenService.logged('the token service is listening')
  api = `http://127.0.0.1:${String(port)}`
})
afterEach(async () => {
  for (const { id } of await list()) await ask(`/v1/sessions/${id}`, { method: 'DELETE' })
})
const connectTo = useClients()
afterAll(async () => {
  await tokenService?.kill()
  await place?.stop()
})

async function connect(replica: number, local: string, over: object = {}): Promise<TestClient> {
  const url = `mqtts://127.0.0.1:${place.replicas[replica]?.mqtts}`
  return connectTo(url, local, { ca: place.certificate.cert, protocolVersion: 5, ...over })
}

const lasting = { clean: false, properties: { sessionExpiryInterval: 3_600 } }

async function ask<T>(
  path: string,
  { method = 'GET', key = keys.own } = {},
): Promise<{ status: number; body: T }> {
  const response = await fetch(`${api}${path}`, { method, headers: { authorization: `Bearer ${key}` } })
  return { status: response.status, body: (await response.json()) as T }
}
const list = async (query = ''): Promise<Shown[]> => {
  const { body } = await ask<{ sessions: Shown[] }>(`/v1/sessions${query}`)
  return body.sessions
}
const sessionOf = async (clientId: string): Promise<Shown | undefined> =>
  (await list()).find((each) => each.client_id === clientId)

test('sessions of both replicas are listed with who, where from, by what and what waits', async () => {
  const local = `tmp_${randomUUID()}`
  const credential = aCredential(local, `${local}-password`, { access, principal: 'sub:somebody' })
  await place.credentials.create(org, local, credential, 600)
  const began = Date.now()
  const first = await connect(0, 'ada', { clientId: 'lamp/1 ✓', ...lasting })
  await first.mqtt.subscribeAsync(['b', 'a/#'], { qos: 1 })
  const browser = await connect(1, local, { clientId: 'web', protocolVersion: 4 })
  await browser.mqtt.subscribeAsync(['gone', 'seen'])
  await browser.mqtt.unsubscribeAsync('gone')
  const away = await connect(1, 'ada', { clientId: 'away', ...lasting })
  await away.mqtt.subscribeAsync('later', { qos: 1 })
  await away.end()
  await eventually(
    'the one that left is away',
    async () => (await sessionOf('away'))?.connection === undefined,
  )

  await first.mqtt.publishAsync('later', 'x', { qos: 1 })
  await eventually('subscriptions that are not stored are told', async () => {
    return (await sessionOf('web'))?.connection?.['subscriptions'] !== undefined
  })

  const [web, waiting, lamp] = await list()
  expect(web?.connection?.['subscriptions']).toEqual(['seen'])
  expect(lamp).toMatchObject({
    principal: 'user:ada',
    client_id: 'lamp/1 ✓',
    connection: { address: '127.0.0.1', listener: 'mqtts', protocol: '5' },
    stored: { subscriptions: ['a/#', 'b'], queued: 0 },
  })
  expect(lamp?.stored?.ends_at).toBeUndefined()
  expect(Math.abs(Date.parse(lamp?.connection?.['since'] ?? '') - began)).toBeLessThan(5_000)
  expect(web).toMatchObject({
    principal: 'sub:somebody',
    client_id: 'web',
    connection: { protocol: '3.1.1', credential: local },
  })
  expect(web?.stored).toBeUndefined()
  expect(Date.parse(web?.connection?.['expires_at'] ?? '')).toBeGreaterThan(began)
  expect(web?.connection?.['replica']).not.toBe(lamp?.connection?.['replica'])
  expect(waiting).toMatchObject({ client_id: 'away', stored: { subscriptions: ['later'], queued: 1 } })
  expect(Date.parse(waiting?.stored?.ends_at ?? '')).toBeGreaterThan(began + 3_000_000)

  expect((await ask(`/v1/sessions/${lamp?.id}`)).body).toEqual(lamp)
  expect((await list('?principal=sub:somebody')).map(({ client_id }) => client_id)).toEqual(['web'])
  const seen: string[] = []
  for (let cursor = ''; ;) {
    const { body } = await ask<{ sessions: Shown[]; next?: string }>(`/v1/sessions?limit=2${cursor}`)
    seen.push(...body.sessions.map(({ client_id }) => client_id))
    if (body.next === undefined) break
    cursor = `&cursor=${body.next}`
  }
  expect(seen).toEqual(['web', 'away', 'lamp/1 ✓'])
})

test('one that is ended is gone from its replica and from the store, and may come back as somebody new', async () => {
  const client = await connect(1, 'ada', { clientId: 'lamp', ...lasting })
  await client.mqtt.subscribeAsync('a', { qos: 1 })
  const other = await connect(0, 'ada', { clientId: 'other' })
  const id = (await sessionOf('lamp'))?.id
  const ended = await ask(`/v1/sessions/${id}`, { method: 'DELETE' })
  expect(ended).toEqual({ status: 200, body: { ended_connections: 1, unconfirmed_replicas: [] } })
  await eventually('it is closed', () => client.closed())
  expect(client.goodbyes).toEqual([0x98])
  expect(other.closed()).toBe(false)
  await eventually('nothing is left', async () => (await sessionOf('lamp')) === undefined)
  expect((await ask(`/v1/sessions/${id}`, { method: 'DELETE' })).status).toBe(404)
  const again = await connect(0, 'ada', { clientId: 'lamp', ...lasting })
  expect(again.sessionPresent).toBe(false)
  await ask(`/v1/sessions/${(await sessionOf('lamp'))?.id}`, { method: 'DELETE' })
})

test('one that only waits is ended too', async () => {
  const client = await connect(1, 'ada', { clientId: 'away', ...lasting })
  await client.end()
  await eventually('it is away', async () => (await sessionOf('away'))?.connection === undefined)
  const ended = await ask(`/v1/sessions/${(await sessionOf('away'))?.id}`, { method: 'DELETE' })
  expect(ended.body).toEqual({ ended_connections: 0, unconfirmed_replicas: [] })
  await eventually('nothing is left', async () => (await sessionOf('away')) === undefined)
})

test('another organization, another scope and what is no id get nothing', async () => {
  const client = await connect(0, 'ada', { clientId: 'lamp' })
  const id = (await sessionOf('lamp'))?.id
  expect((await ask<{ sessions: Shown[] }>('/v1/sessions', { key: keys.foreign })).body.sessions).toEqual([])
  for (const method of ['GET', 'DELETE']) {
    expect((await ask(`/v1/sessions/${id}`, { method, key: keys.foreign })).status).toBe(404)
    expect((await ask(`/v1/sessions/${id}`, { method, key: keys.weak })).status).toBe(403)
    expect((await ask(`/v1/sessions/nonsense`, { method })).status).toBe(404)
  }
  expect((await ask('/v1/sessions', { key: keys.weak })).status).toBe(403)
  expect((await ask('/v1/sessions?limit=0')).status).toBe(400)
  expect(client.closed()).toBe(false)
})

test('after all have left nothing is told of anybody', async () => {
  await eventually('those of other tests are gone', async () => (await list()).length === 0)
  const connected = await Promise.all(
    [1, 2, 3].map((number) => connect(number % 2, 'ada', { clientId: `c${number}` })),
  )
  expect(await list()).toHaveLength(3)
  await Promise.all(connected.map((client) => client.end()))
  await eventually('the list is empty', async () => (await list()).length === 0)
  expect(await place.redis.keys('*clients:about')).toEqual([])
  expect(await place.redis.keys('*clients:ids')).toEqual([])
})
