import type { Redis } from 'ioredis'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { allow, connectClient, type TestBroker } from '../../fixtures/broker.ts'
import { fillWithAda, startBrokerOnRedis } from '../../fixtures/broker-on-redis.ts'
import { type ConnectedRedis, startConnectedRedis } from '../../fixtures/connected-redis.ts'
import { anOrganization, anOrganizationId as org } from '../../fixtures/records.ts'

let place: ConnectedRedis
let redis: Redis
let identities: RedisIdentityStore
let broker: TestBroker

beforeAll(async () => {
  place = await startConnectedRedis()
  redis = await place.connection()
})

beforeEach(async () => {
  identities = await fillWithAda(redis, { webSocketOrigins: ['https://old.example'] })
  // A real control log, which is heard.
  broker = await startBrokerOnRedis(redis, {
    listeners: { mqtt: { host: '127.0.0.1', port: 0 }, ws: { host: '127.0.0.1', port: 0 } },
  })
})

afterEach(() => broker.stop())

afterAll(() => place.stop())

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
