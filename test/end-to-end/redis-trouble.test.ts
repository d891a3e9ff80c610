/** A broker process while Redis hangs, is full, or has become a replica: nothing ends it, nothing is promised. */
import type { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { emptyPolicy } from '#core/access/access-policy.ts'
import { silentLog } from '#core/process/logger.ts'
import { connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { connectClient, useClients, everything, type TestClient } from '../fixtures/broker.ts'
import { type Replica, startReplica } from '../fixtures/broker-process.ts'
import { makeCertificate, type TestCertificate } from '../fixtures/certificates.ts'
import { eventually } from '../fixtures/eventually.ts'
import { anOrganization, anOrganizationId, aUser } from '../fixtures/records.ts'
import { type RedisServer, startRedisServer } from '../fixtures/redis-server.ts'

let server: RedisServer
let redis: Redis
let certificate: TestCertificate
let replica: Replica

beforeEach(async () => {
  ;[server, certificate] = await Promise.all([startRedisServer(), makeCertificate()])
  redis = connectRedis(server.url, 'test', silentLog)
  await untilReady(redis, AbortSignal.timeout(10_000))
  const identities = new RedisIdentityStore(redis, redisKeys(), new RedisControlLog(redis, redisKeys()))
  await identities.put('organization', anOrganizationId, 'organization', anOrganization())
  const access = { ...emptyPolicy, rules: [...everything] }
  await identities.put('user', anOrganizationId, 'ada', aUser('ada', 'ada-password', { access }))
  await identities.markReady()
  replica = await startReplica(server.url, certificate)
})

afterEach(async () => {
  server.resume()
  redis.disconnect()
  await replica.program.kill()
  await Promise.all([server.stop(), certificate.remove()])
})
const connectTo = useClients()

async function connect(options: Parameters<typeof connectClient>[2] = {}): Promise<TestClient> {
  const url = `mqtts://127.0.0.1:${replica.mqtts}`
  return connectTo(url, 'ada', { ca: certificate.cert, protocolVersion: 5, ...options })
}

async function probe(path: '/healthz' | '/readyz'): Promise<number> {
  return (await fetch(`http://127.0.0.1:${replica.probes}${path}`)).status
}

/** A session that waits for messages under `queue/#`, so that publishing there has to be stored. */
async function leaveSession(): Promise<void> {
  const session = await connect({
    clientId: 'away',
    clean: false,
    properties: { sessionExpiryInterval: 600 },
  })
  await session.mqtt.subscribeAsync('queue/#', { qos: 1 })
  await session.mqtt.endAsync()
}

/** Resolves with whether PUBACK came before the connection ended. */
function isAcknowledged(client: TestClient, topic: string): Promise<boolean> {
  return new Promise((resolve) => {
    client.mqtt.publish(topic, 'x', { qos: 1, retain: topic === 'retained' }, (error) => resolve(!error))
    client.mqtt.once('close', () => resolve(false))
  })
}

async function untilServed(): Promise<void> {
  await eventually('clients are served as before', async () => {
    const client = await connect().catch(() => undefined)
    return client !== undefined && (await isAcknowledged(client, 'queue/after'))
  })
  expect(await probe('/healthz')).toBe(200)
  await eventually('it is ready', async () => (await probe('/readyz')) === 200)
}

describe('while Redis', () => {
  test('hangs, it is not ready, refuses clients and acknowledges nothing, and goes on once it answers', async () => {
    await leaveSession()
    const client = await connect()
    server.suspend()
    await eventually('it is not ready', async () => (await probe('/readyz')) === 503)
    expect(await probe('/healthz')).toBe(200)
    await expect(connect()).rejects.toMatchObject({ code: 0x88 })
    expect(await isAcknowledged(client, 'queue/1')).toBe(false)
    server.resume()
    await untilServed()
  })

  test('can not say for too long who was revoked, nobody is served, until it can', async () => {
    await replica.program.kill()
    replica = await startReplica(server.url, certificate, { CLOUDSIGNAL_BROKER_MAX_STALENESS_SECONDS: '3' })
    const client = await connect()
    server.suspend()
    const hungAt = performance.now()
    await eventually('the client is sent away', () => client.closed(), 10_000)
    expect(performance.now() - hungAt).toBeGreaterThan(1_500)
    expect(client.goodbyes).toEqual([0x89])
    const reasons = await (await fetch(`http://127.0.0.1:${replica.probes}/readyz`)).text()
    expect(reasons).toContain('control log: not read for too long')
    await expect(connect()).rejects.toMatchObject({ code: 0x88 })
    server.resume()
    await untilServed()
  })

  test('is full, what has to be stored is not acknowledged, and all goes on when it has room again', async () => {
    await leaveSession()
    const [one, other] = [await connect(), await connect()]
    await redis.config('SET', 'maxmemory-policy', 'noeviction')
    await redis.config('SET', 'maxmemory', '1mb')
    expect(await isAcknowledged(one, 'retained')).toBe(false)
    expect(await isAcknowledged(other, 'queue/1')).toBe(false)
    expect(await probe('/healthz')).toBe(200)
    await redis.config('SET', 'maxmemory', '0')
    await untilServed()
  })

  test('has become a replica, nothing is acknowledged, and all goes on when it is a master again', async () => {
    await leaveSession()
    const client = await connect()
    await redis.config('SET', 'replica-serve-stale-data', 'yes')
    await redis.replicaof('127.0.0.1', 1)
    expect(await isAcknowledged(client, 'queue/1')).toBe(false)
    expect(await probe('/healthz')).toBe(200)
    await redis.replicaof('NO', 'ONE')
    await untilServed()
  })
})
