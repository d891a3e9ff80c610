import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { generateSecret } from '#core/credentials/secret.ts'
import { verifySecret } from '#core/credentials/verifier.ts'
import { silentLog } from '#core/process/logger.ts'
import { organizationRecordName } from '#core/stores/identity-records.ts'
import { connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisCredentialStore } from '#core/stores/redis-credential-store.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { eventually } from '../fixtures/eventually.ts'
import { type Issuer, startIssuer } from '../fixtures/issuer.ts'
import { type RunningProgram, startProgram } from '../fixtures/program.ts'
import { anApiKey, anOrganization, anOrganizationId } from '../fixtures/records.ts'
import { type RedisServer, startRedisServer } from '../fixtures/redis-server.ts'
import { aProviderOf, claimsOf } from './app-under-test.ts'

/** `node token-service/main.ts` as it runs in a pod: real Redis, real HTTP, real signals. */
let server: RedisServer
let redis: Redis
let issuer: Issuer
let credentials: RedisCredentialStore
const keyPrefix = `t-${randomUUID().slice(0, 8)}`
const secretKey = generateSecret('sk')

beforeAll(async () => {
  server = await startRedisServer('--appendonly', 'yes', '--appendfsync', 'always')
  redis = connectRedis(server.url, 'test', silentLog)
  await untilReady(redis, AbortSignal.timeout(10_000))
  issuer = await startIssuer()
  const keys = redisKeys(keyPrefix)
  const log = new RedisControlLog(redis, keys)
  const identities = new RedisIdentityStore(redis, keys, log)
  credentials = new RedisCredentialStore(redis, keys, log)
  await identities.put('organization', anOrganizationId, organizationRecordName, anOrganization())
  await identities.put('provider', anOrganizationId, 'oidc', aProviderOf(issuer))
  const key = anApiKey('backend', secretKey, { scopes: ['exchange', 'revoke'] })
  await identities.put('api-key', anOrganizationId, 'backend', key)
  await identities.markReady()
})

afterAll(async () => {
  redis.disconnect()
  await issuer.close()
  await server.stop()
})

interface Service {
  readonly program: RunningProgram
  readonly url: string
  readonly probes: string
}

async function startService(environment: Record<string, string> = {}): Promise<Service> {
  const program = startProgram('token-service', {
    CLOUDSIGNAL_REDIS_URL: server.url,
    CLOUDSIGNAL_KEY_PREFIX: keyPrefix,
    CLOUDSIGNAL_PROBE_PORT: '0',
    CLOUDSIGNAL_PROBE_HOST: '127.0.0.1',
    CLOUDSIGNAL_TOKEN_SERVICE_HTTP_PORT: '0',
    CLOUDSIGNAL_TOKEN_SERVICE_HTTP_HOST: '127.0.0.1',
    CLOUDSIGNAL_TOKEN_SERVICE_ALLOW_PRIVATE_ISSUERS: 'true',
    ...environment,
  })
  const { port, probes } = await program.logged('the token service is listening')
  return {
    program,
    url: `http://127.0.0.1:${String(port)}`,
    probes: `http://127.0.0.1:${String(probes)}`,
  }
}

async function startReadyService(environment: Record<string, string> = {}): Promise<Service> {
  const service = await startService(environment)
  await eventually('it is ready', async () => (await readiness(service.probes)) === 200)
  return service
}

interface HttpAnswer {
  readonly status: number
  readonly body: Record<string, unknown>
}

async function exchange(url: string, over: Record<string, unknown> = {}): Promise<HttpAnswer> {
  const response = await fetch(`${url}/v1/token/exchange`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secretKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ token: await issuer.sign(claimsOf(issuer, Date.now())), ...over }),
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

const readiness = async (probes: string): Promise<number> => (await fetch(`${probes}/readyz`)).status

describe('the token service as a process', () => {
  test('exchanges over HTTP and Redis, revokes, counts, and ends with 0', async () => {
    const { program, url, probes } = await startReadyService({
      CLOUDSIGNAL_TOKEN_SERVICE_MQTTS_URL: 'mqtts://mqtt.example.com:8883',
    })
    const { status, body } = await exchange(url, { provider: 'oidc', ttl: 120 })
    expect(status).toBe(200)
    expect(body).toMatchObject({
      expires_in: 120,
      user_id: 'ada',
      endpoints: { mqtts: 'mqtts://mqtt.example.com:8883' },
    })

    const id = String(body['id'])
    const stored = await credentials.get(anOrganizationId, id)
    const binding = { kind: 'temporary', name: String(body['username']) } as const
    expect(stored && (await verifySecret(String(body['password']), stored.verifier, binding))).toBe(true)
    expect(await redis.pttl(redisKeys(keyPrefix).credential(anOrganizationId, id))).toBeGreaterThan(110_000)

    const revoke = { method: 'DELETE', headers: { authorization: `Bearer ${secretKey}` } }
    expect((await fetch(`${url}/v1/tokens/${id}`, revoke)).status).toBe(204)
    expect(await credentials.get(anOrganizationId, id)).toBeUndefined()

    const metrics = await (await fetch(`${probes}/metrics`)).text()
    expect(metrics).toContain(
      'cloudsignal_token_service_exchanges_total{provider_type="oidc",outcome="issued"} 1',
    )
    expect(metrics).toContain('process_cpu_seconds_total')

    expect(await program.terminate()).toBe(0)
    expect(program.output()).not.toContain(secretKey)
    expect(program.output()).not.toContain(String(body['password']))
  })

  test('with settings that can not be used names all of them and ends with 2', async () => {
    const program = startProgram('token-service', {
      CLOUDSIGNAL_TOKEN_SERVICE_HTTP_PORT: '70000',
      CLOUDSIGNAL_TOKEN_SERVICE_ALLOW_PRIVATE_ISSUERS: 'yes',
      CLOUDSIGNAL_TOKEN_SERVICE_WSS_URL: 'http://mqtt.example.com',
      CLOUDSIGNAL_TOKEN_SERVICE_PORT: '1',
      CLOUDSIGNAL_BROKER_ANYTHING: 'belongs to the broker',
    })
    expect(await program.exited).toBe(2)
    for (const line of [
      'CLOUDSIGNAL_REDIS_URL: must be set',
      'CLOUDSIGNAL_TOKEN_SERVICE_HTTP_PORT="70000": give a port number',
      'CLOUDSIGNAL_TOKEN_SERVICE_ALLOW_PRIVATE_ISSUERS="yes": give true or false',
      'CLOUDSIGNAL_TOKEN_SERVICE_WSS_URL="http://mqtt.example.com": give a URL that begins with wss://',
      'CLOUDSIGNAL_TOKEN_SERVICE_PORT: is no setting',
    ]) {
      expect(program.output()).toContain(line)
    }
    expect(program.output()).not.toContain('BROKER_ANYTHING')
  })

  test('on a port that is taken says so and ends with 1', async () => {
    const { port } = new URL(issuer.url)
    const program = startProgram('token-service', {
      CLOUDSIGNAL_REDIS_URL: server.url,
      CLOUDSIGNAL_PROBE_PORT: '0',
      CLOUDSIGNAL_TOKEN_SERVICE_HTTP_PORT: port,
      CLOUDSIGNAL_TOKEN_SERVICE_HTTP_HOST: '127.0.0.1',
    })
    expect(await program.exited).toBe(1)
    expect(program.output()).toContain(`port ${port} of 127.0.0.1 is taken by another program`)
  })

  test('remembers records, and sees each change of them at once', async () => {
    const { program, url } = await startReadyService()
    const keys = redisKeys(keyPrefix)
    const identities = new RedisIdentityStore(redis, keys, new RedisControlLog(redis, keys))
    const put = (over: Parameters<typeof anOrganization>[0]): Promise<boolean> =>
      identities.put('organization', anOrganizationId, organizationRecordName, anOrganization(over))
    const secret = generateSecret('sk')
    const withKey = async (): Promise<number> => {
      const response = await fetch(`${url}/v1/tokens`, {
        method: 'POST',
        headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
        body: '{"kind":"worker","name":"billing"}',
      })
      return response.status
    }
    const within = async (what: string, check: () => Promise<boolean>): Promise<void> => {
      await eventually(what, check, 1_000)
    }
    await identities.put('api-key', anOrganizationId, 'worker', anApiKey('worker', secret))
    for (let index = 0; index < 3; index += 1) expect(await withKey()).toBe(403)
    const scopes: ['tokens:create'] = ['tokens:create']
    await identities.put('api-key', anOrganizationId, 'worker', anApiKey('worker', secret, { scopes }))
    await within('the new scope counts', async () => (await withKey()) === 201)
    await put({ suspended: true })
    await within('the suspension counts', async () => (await withKey()) === 403)
    await put({})
    await within('its end counts', async () => (await withKey()) === 201)
    await identities.remove('api-key', anOrganizationId, 'worker')
    await within('the key is worth nothing', async () => (await withKey()) === 401)
    await program.terminate()
  })

  test('leaves nothing in Redis that does not end by itself', async () => {
    const { program, url } = await startReadyService({
      CLOUDSIGNAL_TOKEN_SERVICE_KEY_PER_MINUTE: '10',
      CLOUDSIGNAL_TOKEN_SERVICE_ORGANIZATION_PER_MINUTE: '10',
      CLOUDSIGNAL_TOKEN_SERVICE_SUBJECT_PER_MINUTE: '10',
      CLOUDSIGNAL_TOKEN_SERVICE_ADDRESS_PER_MINUTE: '10',
    })
    // An earlier test has used the key.
    const before = new Set((await redis.keys(`${keyPrefix}:*`)).filter((key) => !key.includes(':tmp:used:')))
    const { body } = await exchange(url, { ttl: 60 })
    await exchange(url, { ttl: 60 })
    const json = { 'content-type': 'application/json' }
    const proof = JSON.stringify({ password: body['password'], ttl: 60 })
    const refresh = { method: 'POST', headers: json, body: proof }
    expect((await fetch(`${url}/v1/tokens/${String(body['username'])}/refresh`, refresh)).status).toBe(200)
    const wrong = { method: 'POST', headers: { ...json, authorization: `Bearer ${generateSecret('pk')}` } }
    expect((await fetch(`${url}/v1/token/exchange`, { ...wrong, body: '{}' })).status).toBe(401)
    const added = (await redis.keys(`${keyPrefix}:*`)).filter((key) => !before.has(key))
    const kinds = added.map((key) => /:tmp:(rate:[a-z]+|of:[a-z]+|tmp_|used)/.exec(key)?.[1]).toSorted()
    expect([...new Set(kinds)]).toEqual([
      'of:exchange',
      'of:sub',
      'rate:address',
      'rate:key',
      'rate:organization',
      'rate:subject',
      'tmp_',
      'used',
    ])
    for (const key of added) {
      const ttl = await redis.pttl(key)
      // -2: it has ended already.
      expect(
        ttl === -2 || (ttl > 0 && ttl <= (key.includes(':tmp:used:') ? 30 * 86_400_000 : 120_000)),
        key,
      ).toBe(true)
    }
    await program.terminate()
  })

  test('refuses issuers in private networks unless its operator allows them', async () => {
    const { program, url } = await startReadyService({
      CLOUDSIGNAL_TOKEN_SERVICE_ALLOW_PRIVATE_ISSUERS: 'false',
    })
    const before = issuer.requests.size
    expect(await exchange(url)).toMatchObject({ status: 503, body: { code: 'provider_unavailable' } })
    expect(issuer.requests.size).toBe(before)
    await program.terminate()
  })

  test('started without Redis waits, says so, and works once Redis is there', async () => {
    await server.kill()
    const { program, url, probes } = await startService()
    await program.logged('Redis can not be reached; trying again until it can')
    const answer = await fetch(`${probes}/readyz`)
    expect(answer.status).toBe(503)
    expect(await answer.text()).toContain('redis: Redis can not be reached')
    expect((await fetch(`${probes}/healthz`)).status).toBe(200)
    expect(await exchange(url)).toMatchObject({ status: 503, body: { code: 'service_unavailable' } })

    await server.start()
    await eventually('it is ready', async () => (await readiness(probes)) === 200)
    expect((await exchange(url)).status).toBe(200)

    await server.kill()
    await eventually('it is not ready', async () => (await readiness(probes)) === 503)
    expect((await exchange(url)).status).toBe(503)
    await server.start()
    await eventually('it is ready again', async () => (await readiness(probes)) === 200)
    expect((await exchange(url)).status).toBe(200)
    expect(await program.terminate()).toBe(0)
  })

  test('told to end with a request running, it answers it, takes no more, and ends with 0', async () => {
    const { program, url } = await startReadyService()
    const before = issuer.requests.get('/.well-known/openid-configuration') ?? 0
    const release = issuer.hold()
    const running = exchange(url)
    await eventually(
      'the issuer is asked',
      () => (issuer.requests.get('/.well-known/openid-configuration') ?? 0) > before,
    )
    const ended = program.terminate()
    await program.logged('shutting down')
    await eventually('it takes no more', () =>
      fetch(`${url}/v1/tokens/tmp_1`).then(
        () => false,
        () => true,
      ),
    )
    release()
    expect((await running).status).toBe(200)
    expect(await ended).toBe(0)
  })
})
