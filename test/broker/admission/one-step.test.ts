import type { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisCredentialRenewer, RedisCredentialStore } from '#core/stores/redis-credential-store.ts'
import type { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import type { BrokerOptions } from '../../../broker/broker.ts'
import { allow, connectClient, type TestBroker, type TestClient } from '../../fixtures/broker.ts'
import { accessByChat as access, fillWithAda, startBrokerOnRedis } from '../../fixtures/broker-on-redis.ts'
import { type ConnectedRedis, startConnectedRedis } from '../../fixtures/connected-redis.ts'
import { deafControlLog } from '../../fixtures/deaf-control-log.ts'
import { aCredential, anOrganization, anOrganizationId as org, aUser } from '../../fixtures/records.ts'

const keys = redisKeys()
let place: ConnectedRedis
let redis: Redis
let identities: RedisIdentityStore
let credentials: RedisCredentialStore
let broker: TestBroker

beforeAll(async () => {
  place = await startConnectedRedis()
  redis = await place.connection()
})

beforeEach(async () => {
  identities = await fillWithAda(redis)
  credentials = new RedisCredentialStore(redis, keys, new RedisControlLog(redis, keys))
  broker = await startDeaf()
})

afterEach(() => broker.stop())

afterAll(() => place.stop())

/** It never hears of changes: what it knows of them it knows from the step in which it lets somebody in. */
const startDeaf = (over: Partial<BrokerOptions> = {}): Promise<TestBroker> =>
  startBrokerOnRedis(redis, { controlLog: deafControlLog, ...over })

async function connects(password: string, local = 'ada'): Promise<boolean> {
  const url = `mqtt://127.0.0.1:${broker.port}`
  const client = await connectClient(url, local, { password }).catch(() => undefined)
  await client?.end()
  return client !== undefined
}

/** Whether the subscription is granted. */
const subscribes = (client: TestClient, filter: string): Promise<boolean> =>
  client.mqtt.subscribeAsync(filter).then(
    ([granted]) => granted !== undefined && granted.qos < 128,
    () => false,
  )

const commands = async (): Promise<number> =>
  Number(/cmdstat_hmget:calls=(\d+)/.exec(await redis.info('commandstats'))?.[1] ?? 0)

describe('somebody who was let in before', () => {
  beforeEach(async () => {
    expect(await connects('old')).toBe(true)
  })

  test('comes in again without the records being read again', async () => {
    const before = await commands()
    expect(await connects('old')).toBe(true)
    expect(await commands()).toBe(before)
  })

  test('does not, once the user is deleted', async () => {
    await identities.remove('user', org, 'ada')
    expect(await connects('old')).toBe(false)
    expect(await connects('old')).toBe(false)
  })

  test('does not with the former password, and does with the new one', async () => {
    await identities.put('user', org, 'ada', aUser('ada', 'new', { access }))
    expect(await connects('old')).toBe(false)
    expect(await connects('new')).toBe(true)
    expect(await connects('old')).toBe(false)
  })

  test('does not, once the organization is suspended', async () => {
    await identities.put('organization', org, 'organization', anOrganization({ suspended: true }))
    expect(await connects('old')).toBe(false)
    await identities.put('organization', org, 'organization', anOrganization())
    expect(await connects('old')).toBe(true)
  })

  test('may do what the list says now', async () => {
    await identities.put('access-list', org, 'chat', { rules: [allow(['subscribe'], 'news/#')] })
    const client = await connectClient(`mqtt://127.0.0.1:${broker.port}`, 'ada', { password: 'old' })
    expect(await subscribes(client, 'chat/a')).toBe(false)
    expect(await subscribes(client, 'news/a')).toBe(true)
    await client.end()
  })

  test('may do nothing, once the list is gone', async () => {
    await identities.remove('access-list', org, 'chat')
    const client = await connectClient(`mqtt://127.0.0.1:${broker.port}`, 'ada', { password: 'old' })
    expect(await subscribes(client, 'chat/a')).toBe(false)
    await client.end()
  })

  test('has a session that ends when the organization says so now', async () => {
    await identities.put('organization', org, 'organization', anOrganization({ sessionMaxExpiry: 77 }))
    const url = `mqtt://127.0.0.1:${broker.port}`
    const client = await connectClient(url, 'ada', { password: 'old', clean: false, clientId: 'kept' })
    await client.end()
    const [, ends = '0'] = await redis.zrange(`${keys.messaging(org)}sessions`, 0, 0, 'WITHSCORES')
    // A lease longer, while it is not known that the client has gone.
    expect((Number(ends) - Date.now()) / 1_000).toBeLessThan(78 + 900)
  })
})

test.each<[string, () => Promise<unknown>]>([
  ['is revoked', () => credentials.revoke(org, 'tmp_a')],
  ['whose identity is put behind a barrier', () => credentials.raiseBarrier(org, 'principal:sub:somebody')],
  ['whose provider is put behind a barrier', () => credentials.raiseBarrier(org, 'provider:clerk')],
  ['whose organization is put behind a barrier', () => credentials.raiseBarrier(org, 'organization')],
])('a temporary credential that %s after it was read is let in nowhere', async (_what, end) => {
  const record = aCredential('tmp_a', 'secret', { access, provider: 'clerk' })
  await credentials.create(org, 'tmp_a', record, 60)
  expect(await connects('secret', 'tmp_a')).toBe(true)
  await broker.stop()
  const reader = new RedisCredentialRenewer(redis, keys, new RedisControlLog(redis, keys))
  let reads = 0
  broker = await startDeaf({
    credentials: {
      async get(organization, local) {
        const found = await reader.get(organization, local)
        reads += 1
        if (reads === 1) await end()
        return found
      },
      versionOf: (credential) => reader.versionOf(credential),
      extend: (...parameters) => reader.extend(...parameters),
      barrierOf: (...parameters) => reader.barrierOf(...parameters),
    },
  })
  expect(await connects('secret', 'tmp_a')).toBe(false)
  // It was judged anew, and not let in by what was read before.
  expect(reads).toBe(2)
})
