import type { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { emptyPolicy } from '#core/access/access-policy.ts'
import { silentLog } from '#core/process/logger.ts'
import { connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { useClients, everything, type TestClient } from '../fixtures/broker.ts'
import { type Replica, startReplica } from '../fixtures/broker-process.ts'
import { makeCertificate, type TestCertificate } from '../fixtures/certificates.ts'
import { eventually } from '../fixtures/eventually.ts'
import { anOrganization, anOrganizationId, aUser } from '../fixtures/records.ts'
import { type RedisServer, startRedisServer } from '../fixtures/redis-server.ts'

const keys = redisKeys()
const shared = '$share/workers/jobs/#'
const messages = 10_000
const atOnce = 100

let server: RedisServer
let redis: Redis
let certificate: TestCertificate
let replicas: Replica[] = []

beforeAll(async () => {
  ;[server, certificate] = await Promise.all([startRedisServer(), makeCertificate()])
  redis = connectRedis(server.url, 'test', silentLog)
  await untilReady(redis, AbortSignal.timeout(10_000))
  const identities = new RedisIdentityStore(redis, keys, new RedisControlLog(redis, keys))
  await identities.put('organization', anOrganizationId, 'organization', anOrganization())
  const access = { ...emptyPolicy, rules: [...everything] }
  await identities.put('user', anOrganizationId, 'ada', aUser('ada', 'ada-password', { access }))
  await identities.markReady()
})
beforeEach(async () => {
  replicas = await Promise.all([1, 2, 3].map(() => startReplica(server.url, certificate)))
})
afterEach(async () => {
  await Promise.all(replicas.splice(0).map(({ program }) => program.kill()))
})
const connectTo = useClients()
afterAll(async () => {
  redis?.disconnect()
  await Promise.all([server?.stop(), certificate?.remove()])
})

async function client(replica: number, clientId: string): Promise<TestClient> {
  const url = `mqtts://127.0.0.1:${replicas[replica]?.mqtts}`
  return connectTo(url, 'ada', { ca: certificate.cert, clientId, protocolVersion: 5 })
}

/** Publishes all of them, many at a time. Calls `at` when so many have been acknowledged. */
async function publishAll(publisher: TestClient, at: (acknowledged: number) => void): Promise<void> {
  let next = 0
  let acknowledged = 0
  const publishOn = async (): Promise<void> => {
    while (next < messages) {
      const number = next
      next += 1
      await publisher.mqtt.publishAsync(`jobs/${number % 7}`, String(number), { qos: 1 })
      acknowledged += 1
      at(acknowledged)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, publishOn))
}

const numbersOf = (members: readonly TestClient[]): Set<string> =>
  new Set(members.flatMap(({ received }) => received.map(({ payload }) => payload)))

test('of six members on three replicas each gets its share, and nothing comes twice', async () => {
  const members = await Promise.all([0, 1, 2, 3, 4, 5].map((index) => client(index % 3, `member-${index}`)))
  for (const member of members) await member.mqtt.subscribeAsync(shared, { qos: 1 })
  await publishAll(await client(0, 'publisher'), () => {})
  await eventually('all have come', () => numbersOf(members).size === messages, 30_000)
  const counts = members.map(({ received }) => received.length)
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(messages)
  for (const count of counts) expect(Math.abs(count - messages / 6)).toBeLessThanOrEqual(messages / 60)
}, 60_000)

test('a member and a replica that are killed take no acknowledged message with them', async () => {
  const members = await Promise.all([0, 1, 2, 3, 4, 5].map((index) => client(index % 3, `member-${index}`)))
  for (const member of members) await member.mqtt.subscribeAsync(shared, { qos: 1 })
  await publishAll(await client(0, 'publisher'), (acknowledged) => {
    // One that is not told goodbye, and all of a replica.
    if (acknowledged === messages / 4) members[0]?.mqtt.stream.destroy()
    if (acknowledged === messages / 2) void replicas[2]?.program.kill()
  })
  await eventually('all have come', () => numbersOf(members).size === messages, 30_000)
}, 60_000)
