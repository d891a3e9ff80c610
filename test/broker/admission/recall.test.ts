import type { Redis } from 'ioredis'
import { Registry } from 'prom-client'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { emptyPolicy } from '#core/access/access-policy.ts'
import { silentLog } from '#core/process/logger.ts'
import { connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisCredentialRenewer } from '#core/stores/redis-credential-store.ts'
import { RedisIdentityReader, RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { noOtherReplica } from '../../../broker/bus/no-other-replica.ts'
import { redisCluster } from '../../../broker/organizations/cluster.ts'
import { allow, connectClient, startTestBroker, type TestBroker } from '../../fixtures/broker.ts'
import { anOrganization, anOrganizationId as org, aUser } from '../../fixtures/records.ts'
import { type RedisServer, startRedisServer } from '../../fixtures/redis-server.ts'

const keys = redisKeys()
const access = { ...emptyPolicy, lists: ['chat'] }
let server: RedisServer, redis: Redis, identities: RedisIdentityStore, broker: TestBroker
beforeAll(async () => {
  server = await startRedisServer()
  redis = connectRedis(server.url, 'test', silentLog)
  await untilReady(redis, AbortSignal.timeout(10_000))
})
beforeEach(async () => {
  await redis.flushall()
  const log = new RedisControlLog(redis, keys)
  identities = new RedisIdentityStore(redis, keys, log)
  await identities.put(
    'organization',
    org,
    'organization',
    anOrganization({ webSocketOrigins: ['https://old.example'] }),
  )
  await identities.put('access-list', org, 'chat', { rules: [allow(['publish', 'subscribe'], 'chat/#')] })
  await identities.put('user', org, 'ada', aUser('ada', 'old', { access }))
  await identities.markReady()
  // A real control log, which is heard.
  broker = await startTestBroker({
    identities: new RedisIdentityReader(redis, keys),
    credentials: new RedisCredentialRenewer(redis, keys, new RedisControlLog(redis, keys)),
    controlLog: new RedisControlLog(redis, keys),
    cluster: redisCluster(redis, redis, keys, noOtherReplica, silentLog),
    registry: new Registry(),
    listeners: { mqtt: { host: '127.0.0.1', port: 0 }, ws: { host: '127.0.0.1', port: 0 } },
  })
})
afterEach(() => broker.stop())
afterAll(async () => {
  redis.disconnect()
  await server.stop()
})

const outcome = async (url: string, options: object): Promise<string> => {
  const client = await connectClient(url, 'ada', { password: 'old', ...options }).catch((error) =>
    String(error.code ?? error),
  )
  if (typeof client === 'string') return `refused ${client}`
  await client.end()
  return 'in'
}

test('an origin that the organization allows now is let in', async () => {
  const url = `ws://127.0.0.1:${broker.broker.ports.ws}`
  const from = (origin: string) => outcome(url, { wsOptions: { headers: { origin } } })
  expect(await from('https://old.example')).toBe('in')
  await identities.put(
    'organization',
    org,
    'organization',
    anOrganization({ webSocketOrigins: ['https://new.example'] }),
  )
  await pause(500)
  expect([
    await from('https://new.example'),
    await from('https://new.example'),
    await from('https://new.example'),
  ]).toEqual(['in', 'in', 'in'])
})

test('a will that the list allows now is taken', async () => {
  const url = `mqtt://127.0.0.1:${broker.port}`
  const withWill = () =>
    outcome(url, { will: { topic: 'news/a', payload: Buffer.from('x'), qos: 0, retain: false } })
  expect(await outcome(url, {})).toBe('in')
  await identities.put('access-list', org, 'chat', { rules: [allow(['publish', 'subscribe'], 'news/#')] })
  await pause(500)
  expect([await withWill(), await withWill(), await withWill()]).toEqual(['in', 'in', 'in'])
})
