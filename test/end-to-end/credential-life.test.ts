import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { emptyPolicy } from '#core/access/access-policy.ts'
import type { CredentialRecord } from '#core/credentials/credential-record.ts'
import { generateSecret } from '#core/credentials/secret.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { silentLog } from '#core/process/logger.ts'
import { connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisCredentialStore } from '#core/stores/redis-credential-store.ts'
import { RedisFormerPasswordMarks } from '#core/stores/redis-former-password-marks.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { allow, connectClient, useClients, everything, type TestClient } from '../fixtures/broker.ts'
import { type Replica, startReplica } from '../fixtures/broker-process.ts'
import { makeCertificate, type TestCertificate } from '../fixtures/certificates.ts'
import { eventually } from '../fixtures/eventually.ts'
import { type Issuer, startIssuer } from '../fixtures/issuer.ts'
import { type RunningProgram, startProgram } from '../fixtures/program.ts'
import { ReconcileWorld } from '../fixtures/reconcile-world.ts'
import {
  aCredential,
  anApiKey,
  anOrganizationId as org,
  anotherOrganizationId as other,
  aUser,
} from '../fixtures/records.ts'
import { type RedisServer, startRedisServer } from '../fixtures/redis-server.ts'
import { anOrganizationResource, aResource, aUserResource } from '../fixtures/resources.ts'
import { aProviderOf, claimsOf } from '../token-service/app-under-test.ts'

/** Two brokers and a token service as processes, on one Redis; the records of organizations are the operator's. */
let server: RedisServer
let redis: Redis
let issuer: Issuer
let identities: RedisIdentityStore
let credentials: RedisCredentialStore
let certificate: TestCertificate
let operator: ReconcileWorld
let replicas: readonly Replica[]
let tokenService: RunningProgram
let url: string
const key = generateSecret('sk')
const keys = redisKeys()

beforeAll(async () => {
  ;[server, certificate, issuer] = await Promise.all([startRedisServer(), makeCertificate(), startIssuer()])
  redis = connectRedis(server.url, 'test', silentLog)
  await untilReady(redis, AbortSignal.timeout(10_000))
  const log = new RedisControlLog(redis, keys)
  identities = new RedisIdentityStore(redis, keys, log)
  credentials = new RedisCredentialStore(redis, keys, log)
  operator = new ReconcileWorld(() => identities)
  operator.formerPasswords = new RedisFormerPasswordMarks(redis, keys)
  operator.forget()
  const lives = { maxTtl: '1h', maxLifetime: '8h' }
  await operator.apply(
    anOrganizationResource({ shortId: org.slice(4), credentials: lives }),
    aResource('Organization', 'other', { shortId: other.slice(4), willOnExpiry: 'discard' }),
  )
  for (const organization of [org, other]) {
    const access = { ...emptyPolicy, rules: [...everything] }
    await identities.put('user', organization, 'ada', aUser('ada', 'ada-password', { access }, organization))
    await identities.put('access-list', organization, 'list', { rules: [...everything] })
  }
  await identities.put('provider', org, 'oidc', aProviderOf(issuer))
  await identities.put(
    'api-key',
    org,
    'backend',
    anApiKey('backend', key, { scopes: ['exchange', 'tokens:create'] }),
  )
  await identities.markReady()
  replicas = await Promise.all([startReplica(server.url, certificate), startReplica(server.url, certificate)])
  tokenService = startProgram('token-service', {
    CLOUDSIGNAL_REDIS_URL: server.url,
    CLOUDSIGNAL_PROBE_PORT: '0',
    CLOUDSIGNAL_PROBE_HOST: '127.0.0.1',
    CLOUDSIGNAL_TOKEN_SERVICE_HTTP_PORT: '0',
    CLOUDSIGNAL_TOKEN_SERVICE_HTTP_HOST: '127.0.0.1',
    CLOUDSIGNAL_TOKEN_SERVICE_ALLOW_PRIVATE_ISSUERS: 'true',
  })
  const { port } = await tokenService.logged('the token service is listening')
  url = `http://127.0.0.1:${String(port)}`
})

const connectTo = useClients()

afterAll(async () => {
  await Promise.all([...(replicas ?? []).map(({ program }) => program.kill()), tokenService?.kill()])
  redis?.disconnect()
  await Promise.all([server?.stop(), certificate?.remove(), issuer?.close()])
})

async function connect(
  index: number,
  local: string,
  options: Parameters<typeof connectClient>[2] = {},
): Promise<TestClient> {
  return connectTo(`mqtts://127.0.0.1:${replicas[index]?.mqtts}`, local, {
    ca: certificate.cert,
    protocolVersion: 5,
    ...options,
  })
}

const passwords = new Map<string, string>()

async function issue(
  local: string,
  ttlSeconds: number,
  over: Partial<CredentialRecord> = {},
  organization: OrganizationId = org,
): Promise<void> {
  const password = generateSecret('mp')
  passwords.set(local, password)
  const access = { ...emptyPolicy, lists: ['list'] }
  const record = aCredential(local, password, { access, principal: `sub:${local}`, ...over }, organization)
  await credentials.create(organization, local, record, ttlSeconds)
}

/** A client of the credential on each replica. */
const onBoth = (local: string, options: Parameters<typeof connectClient>[2] = {}): Promise<TestClient[]> =>
  Promise.all(
    [0, 1].map((index) =>
      connect(index, local, {
        password: passwords.get(local) ?? '',
        clientId: `${local}-${index}`,
        ...options,
      }),
    ),
  )

async function post(path: string, body: object, secret?: string): Promise<number> {
  const { status } = await fetch(url + path, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }),
    },
    body: JSON.stringify(body),
  })
  return status
}

const payloads = ({ received }: TestClient): string[] => received.map(({ payload }) => payload)

test('whoever is renewed in time, in whatever way, keeps the connections on both replicas, and nobody else', async () => {
  const { principal } = await principalOfAda()
  const names = ['tmp_v1', 'tmp_v2', 'tmp_mqtt', 'tmp_key', 'tmp_token'] as const
  const life = 3
  await Promise.all([
    ...['tmp_v1', 'tmp_v2', 'tmp_mqtt', 'tmp_not'].map((local) => issue(local, life)),
    issue('tmp_key', life, { kind: 'agent', principal: 'agent:planner', apiKey: 'backend' }),
    issue('tmp_token', life, { principal, provider: 'oidc', apiKey: 'backend' }),
  ])
  const lost = await onBoth('tmp_not')
  const kept = (await Promise.all(names.map((local) => onBoth(local)))).flat()
  const asking = kept[names.indexOf('tmp_mqtt') * 2] as TestClient
  const nameOf = (local: string): string => `${local}@${org}`
  const statuses = await Promise.all([
    post(`/v1/tokens/${nameOf('tmp_v1')}/refresh`, { password: passwords.get('tmp_v1') }),
    post('/v2/tokens/refresh', {
      token_id: nameOf('tmp_v2'),
      current_token_password: passwords.get('tmp_v2'),
    }),
    post(`/v1/tokens/${nameOf('tmp_key')}/refresh`, {}, key),
    post(
      `/v1/tokens/${nameOf('tmp_token')}/refresh`,
      { token: await issuer.sign(claimsOf(issuer, Date.now())) },
      key,
    ),
  ])
  expect(statuses).toEqual([200, 200, 200, 200])
  await asking.mqtt.publishAsync('$cloudsignal/credential/refresh', '{"ttl":600}', { qos: 1 })
  await eventually('who was not renewed is closed', () => lost.every((client) => client.closed()))
  expect(lost.map(({ goodbyes }) => goodbyes)).toEqual([[0xa0], [0xa0]])
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect(kept.map((client) => client.closed())).toEqual(kept.map(() => false))
  for (const client of kept) await client.mqtt.publishAsync('still', 'here', { qos: 1 })
  for (const local of names) await onBoth(local, { clientId: `${local}-again` })
  await expect(onBoth('tmp_not')).rejects.toThrow()
}, 20_000)

test.each([
  ['by its Response Topic', 'mqttv5', 'answers/mine'],
  ['in 3.1.1 too', 'mqttv311', '$cloudsignal/credential/refreshed'],
])(
  'mosquitto_rr renews the credential of its connection, and finds the answer %s',
  async (_what, version, topic) => {
    await issue('tmp_rr', 20)
    const where = `-h localhost -p ${replicas[1]?.mqtts} --cafile ${certificate.certFile} -V ${version}`
    const who = `-u tmp_rr@${org} -P ${passwords.get('tmp_rr')} -q 1 -W 10`
    const what = `-t $cloudsignal/credential/refresh -e ${topic} -m {"ttl":600}`
    const { stdout } = await promisify(execFile)('mosquitto_rr', `${where} ${who} ${what}`.split(' '))
    expect(JSON.parse(stdout)).toMatchObject({ expires_in: 600 })
    expect((await credentials.get(org, 'tmp_rr'))?.expiresAt).toBeGreaterThan(Date.now() + 590_000)
    await credentials.revoke(org, 'tmp_rr')
  },
)

test('of both replicas each tells its own clients that their credential ends soon', async () => {
  await issue('tmp_soon', 2)
  const both = await onBoth('tmp_soon')
  const others = await Promise.all([0, 1].map((index) => connect(index, 'ada', { clientId: `ada-${index}` })))
  for (const client of [...both, ...others]) await client.mqtt.subscribeAsync('$cloudsignal/#')
  for (const client of others) await client.mqtt.subscribeAsync('#')
  await eventually('both are told', () => both.every(({ received }) => received.length === 1))
  expect(both.map((client) => client.closed())).toEqual([false, false])
  await eventually('both are closed', () => both.every((client) => client.closed()))
  expect(both.map(({ received }) => received.length)).toEqual([1, 1])
  expect(others.flatMap(({ received }) => received)).toEqual([])
})

describe('the will of a credential that expires', () => {
  const will = (topic: string, payload: string) =>
    ({ topic, payload: Buffer.from(payload), qos: 1, retain: false }) as const

  test.each([
    ['is published where the Organization says nothing', org, ['of 0', 'of 1']],
    ['is discarded where it says so', other, []],
  ] as const)(
    '%s, on both replicas, and never against an access list',
    async (_what, organization, expected) => {
      const life = 2
      const lists = { access: { ...emptyPolicy, lists: ['will'] } }
      await identities.put('access-list', organization, 'will', { rules: [...everything] })
      await Promise.all([issue('tmp_w', life, {}, organization), issue('tmp_d', life, lists, organization)])
      const watchers = await Promise.all(
        [0, 1].map((index) => connect(index, 'ada', { organization, clientId: `watcher-${index}` })),
      )
      for (const watcher of watchers) await watcher.mqtt.subscribeAsync('wills/#', { qos: 1 })
      const dying = await Promise.all(
        [0, 1].flatMap((index) =>
          ['tmp_w', 'tmp_d'].map((local) =>
            connect(index, local, {
              organization,
              password: passwords.get(local) ?? '',
              clientId: `${local}-${index}`,
              will: will(`wills/${local}`, local === 'tmp_w' ? `of ${index}` : 'denied'),
            }),
          ),
        ),
      )
      // Idle subscribers, which nothing else would end.
      for (const client of dying) await client.mqtt.subscribeAsync('quiet')
      await identities.put('access-list', organization, 'will', { rules: [allow(['subscribe'], '#')] })
      await eventually('they are closed', () => dying.every((client) => client.closed()))
      expect(dying.flatMap(({ goodbyes }) => goodbyes)).toEqual([0xa0, 0xa0, 0xa0, 0xa0])
      await watchers[0]?.mqtt.publishAsync('wills/last', 'last', { qos: 1 })
      await watchers[1]?.mqtt.publishAsync('wills/last', 'last', { qos: 1 })
      for (const watcher of watchers) {
        await eventually('all has come', () => payloads(watcher).length >= expected.length + 2)
        expect(
          payloads(watcher)
            .filter((payload) => payload !== 'last')
            .toSorted(),
        ).toEqual(expected)
      }
    },
  )
})

test('a password that is rotated lets in beside the new one until its overlap ends, on both replicas', async () => {
  operator.now = Date.now()
  const user = { access: [...everything], rotation: { interval: '1h', overlap: '3s' } }
  await operator.apply(aUserResource('device', user))
  const password = (): string => operator.host.secrets.get('default/device-mqtt')?.data['password'] ?? ''
  const connectWith = (secret: string, name: string): Promise<TestClient[]> =>
    Promise.all(
      [0, 1].map((index) => connect(index, 'device', { password: secret, clientId: `${name}-${index}` })),
    )
  const look = () => operator.reconcilers.byKind.MqttUser.reconcile({ namespace: 'default', name: 'device' })
  const status = () => operator.host.get('MqttUser', 'default', 'device')?.status
  const former = password()
  const before = await connectWith(former, 'before')
  expect(status()).not.toHaveProperty('previousPasswordLastUsed')

  // An hour ago the password was made: the operator's clock says so.
  const data = { rotation: JSON.stringify({ since: Date.now() - 3_600_000 }) }
  const secret = await operator.host.readSecret('default', 'device-mqtt')
  if (secret === undefined) throw new Error('there is no Secret')
  await operator.host.updateSecret(secret, data)
  operator.now = Date.now()
  await look()
  const ends = operator.now + 3_000
  expect(password()).not.toBe(former)
  expect(status()?.previousPasswordExpiry).toBe(new Date(ends).toISOString())
  const [old, renewed] = [await connectWith(former, 'old'), await connectWith(password(), 'new')]
  await eventually('the operator hears who used the former one', async () => {
    await look()
    return status()?.previousPasswordLastUsed !== undefined
  })
  for (const { program } of replicas) {
    await program.logged('a client signed in with a password that was rotated and ends soon')
    expect(program.output()).not.toContain(former)
  }
  expect([...before, ...old].map((client) => client.closed())).toEqual([false, false, false, false])

  await eventually('who used the former one is closed', () =>
    [...before, ...old].every((one) => one.closed()),
  )
  expect(Date.now()).toBeGreaterThanOrEqual(ends - 50)
  expect([...before, ...old].flatMap(({ goodbyes }) => goodbyes)).toEqual([0xa0, 0xa0, 0xa0, 0xa0])
  expect(renewed.map((client) => client.closed())).toEqual([false, false])
  await expect(connectWith(former, 'late')).rejects.toMatchObject({ code: 0x86 })
  await connectWith(password(), 'late')
  const counted = await Promise.all(
    replicas.map(async ({ probes }) => (await fetch(`http://127.0.0.1:${probes}/metrics`)).text()),
  )
  for (const text of counted) expect(text).toContain('cloudsignal_broker_former_password_connects_total 1')
  // The records are those of before the end: the brokers' own clocks have closed the connections.
  expect((await identities.get('user', org, 'device'))?.verifiers).toHaveLength(2)
  operator.now = Date.now()
  await look()
  expect((await identities.get('user', org, 'device'))?.verifiers).toHaveLength(1)
  expect(renewed.map((client) => client.closed())).toEqual([false, false])
}, 20_000)

/** As an exchange of the issuer's usual token makes it. */
async function principalOfAda(): Promise<Pick<CredentialRecord, 'principal'>> {
  const token = await issuer.sign(claimsOf(issuer, Date.now()))
  const response = await fetch(`${url}/v1/token/exchange`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body: JSON.stringify({ token }),
  })
  const { id } = (await response.json()) as { id: string }
  const principal = (await credentials.get(org, id))?.principal
  if (principal === undefined) throw new Error('the exchange gave no credential')
  return { principal }
}
