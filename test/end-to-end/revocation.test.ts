import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { emptyPolicy } from '#core/access/access-policy.ts'
import type { BarrierTarget } from '#core/credentials/barrier.ts'
import { silentLog } from '#core/process/logger.ts'
import { connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisCredentialStore } from '#core/stores/redis-credential-store.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { connectClient, everything, type TestClient } from '../fixtures/broker.ts'
import { type Replica, startReplica } from '../fixtures/broker-process.ts'
import { makeCertificate, type TestCertificate } from '../fixtures/certificates.ts'
import { eventually } from '../fixtures/eventually.ts'
import { aCredential, anOrganization, anOrganizationId as org, aUser } from '../fixtures/records.ts'
import { type RedisServer, startRedisServer } from '../fixtures/redis-server.ts'

const keys = redisKeys()
const access = { ...emptyPolicy, rules: [...everything] }
let server: RedisServer
let redis: Redis
let log: RedisControlLog
let credentials: RedisCredentialStore
let certificate: TestCertificate
let replicas: [Replica, Replica]
const clients: TestClient[] = []

beforeAll(async () => {
  ;[server, certificate] = await Promise.all([startRedisServer(), makeCertificate()])
  redis = connectRedis(server.url, 'test', silentLog)
  await untilReady(redis, AbortSignal.timeout(10_000))
  log = new RedisControlLog(redis, keys)
  credentials = new RedisCredentialStore(redis, keys, log)
  const identities = new RedisIdentityStore(redis, keys, log)
  await identities.put('organization', org, 'organization', anOrganization())
  await identities.put('user', org, 'ada', aUser('ada', 'ada-password', { access }))
  await identities.markReady()
  replicas = await Promise.all([startReplica(server.url, certificate), startReplica(server.url, certificate)])
})

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.end()))
})

afterAll(async () => {
  await Promise.all(replicas.map(({ program }) => program.terminate()))
  redis.disconnect()
  await server.stop()
})

async function connect(index: 0 | 1, local: string): Promise<TestClient> {
  const url = `mqtts://127.0.0.1:${replicas[index].mqtts}`
  const client = await connectClient(url, local, { ca: certificate.cert, clientId: randomUUID() })
  clients.push(client)
  return client
}

/** A credential of its own; resolves with its name. */
async function issued(provider: string): Promise<string> {
  const local = `tmp_${randomUUID().slice(0, 8)}`
  const record = aCredential(local, `${local}-password`, { access, provider })
  await credentials.create(org, local, record, 60)
  return local
}

describe('a revocation', () => {
  test.each<[string, BarrierTarget]>([
    ['of a provider', 'provider:clerk'],
    ['of a person', 'principal:sub:somebody'],
    ['of the organization', 'organization'],
  ])('%s is confirmed by every replica once nobody is there any more', async (_what, target) => {
    const local = await issued('clerk')
    const ended = [await connect(0, local), await connect(1, local), await connect(1, local)]
    const [ada, sender] = [await connect(0, 'ada'), await connect(1, 'ada')]
    for (const client of ended) await client.mqtt.subscribeAsync('news')
    let sent = 0
    const sending = setInterval(() => void sender.mqtt.publishAsync('news', String((sent += 1))), 5)
    await eventually('messages flow', () => ended.every((client) => client.received.length > 5))
    const { position } = await credentials.raiseBarrier(org, target)
    expect(await log.applied(position, 5_000)).toEqual({ ended: 3, missing: [] })
    const confirmedAt = sent
    await eventually('the connections are closed', () => ended.every((client) => client.closed()))
    clearInterval(sending)
    for (const { received } of ended)
      expect(Number(received.at(-1)?.payload)).toBeLessThanOrEqual(confirmedAt)
    expect([ada.closed(), sender.closed()]).toEqual([false, false])
    await expect(connect(0, local)).rejects.toThrow()
    await expect(connect(1, local)).rejects.toThrow()
  })

  test('names the replica that does not confirm it, which carries it out once it can', async () => {
    const local = await issued('clerk')
    const [here, there] = [await connect(0, local), await connect(1, local)]
    const names = await redis.zrange(keys.replicas, 0, -1)
    const thaw = replicas[1].program.freeze()
    const { position } = await credentials.revoke(org, local)
    const { ended, missing } = await log.applied(position, 500)
    expect([ended, missing.length, names.includes(missing[0] ?? '')]).toEqual([1, 1, true])
    await eventually('the one is closed', () => here.closed())
    expect(there.closed()).toBe(false)
    thaw()
    expect(await log.applied(position, 5_000)).toEqual({ ended: 2, missing: [] })
    await eventually('the other is closed', () => there.closed())
  })

  test('of nobody who is there is confirmed all the same', async () => {
    const { position } = await credentials.revoke(org, 'tmp_unknown')
    expect(await log.applied(position, 5_000)).toEqual({ ended: 0, missing: [] })
  })
})
