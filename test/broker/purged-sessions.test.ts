import type { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { emptyPolicy } from '#core/access/access-policy.ts'
import type { CredentialRecord } from '#core/credentials/credential-record.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisCredentialStore } from '#core/stores/redis-credential-store.ts'
import type { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { useClients, everything, type TestBroker, type TestClient } from '../fixtures/broker.ts'
import { accessByChat, fillWithAda, startBrokerOnRedis } from '../fixtures/broker-on-redis.ts'
import { type ConnectedRedis, startConnectedRedis } from '../fixtures/connected-redis.ts'
import { eventually } from '../fixtures/eventually.ts'
import { tracesOf, untilNoTrace } from '../fixtures/redis-traces.ts'
import { aCredential, anOrganization, anOrganizationId as org, aUser } from '../fixtures/records.ts'

const keys = redisKeys()
const prefix = keys.messaging(org)
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
  await identities.put(
    'user',
    org,
    'bob',
    aUser('bob', 'bob-password', { access: { ...emptyPolicy, rules: [...everything] } }),
  )
  credentials = new RedisCredentialStore(redis, keys, new RedisControlLog(redis, keys))
  broker = await startBrokerOnRedis(redis)
})
afterEach(async () => {
  await broker.stop()
})
const connectTo = useClients()
afterAll(() => place.stop())

async function connect(local: string, password: string, over: object = {}): Promise<TestClient> {
  return connectTo(`mqtt://127.0.0.1:${broker.port}`, local, {
    protocolVersion: 5,
    clean: false,
    clientId: 'device',
    properties: { sessionExpiryInterval: 3_600 },
    password,
    ...over,
  })
}

/** Leaves a session behind, with a subscription and a message that waits. */
async function leaveSession(local: string, password: string, clientId = 'device'): Promise<void> {
  const client = await connect(local, password, { clientId })
  await client.mqtt.subscribeAsync('chat/1', { qos: 1 })
  await client.end()
  const bob = await connect('bob', 'bob-password', { clientId: 'sender', clean: true, properties: {} })
  await bob.mqtt.publishAsync('chat/1', 'for you', { qos: 1 })
  await bob.end()
}

async function issue(local: string, over: Partial<CredentialRecord>): Promise<void> {
  const record = aCredential(local, `${local}-password`, { access: accessByChat, ...over })
  await credentials.create(org, local, record, 600)
}

const sessionsOf = async (principal: string): Promise<string[]> =>
  (await redis.keys(`${prefix}*`)).filter((key) => key.slice(prefix.length).includes(`:${principal}/`))

const untilPurged = (principal: string): Promise<unknown> =>
  eventually('nothing is left', async () => (await sessionsOf(principal)).length === 0)

describe('what is stored of a session', () => {
  test('goes with its user, who was away', async () => {
    await leaveSession('ada', 'old')
    expect(await sessionsOf('user:ada')).toHaveLength(3)
    await identities.remove('user', org, 'ada')
    await untilPurged('user:ada')
    expect(await redis.zrange(`${prefix}sessions`, 0, -1)).toEqual([])
  })

  test('goes with its user to the last trace: its groups, its queues, its connection', async () => {
    const client = await connect('ada', 'old')
    await client.mqtt.subscribeAsync(['chat/1', '$share/all/chat/#'], { qos: 1 })
    await client.end()
    await leaveSession('ada', 'old', 'another')
    const here = await connect('ada', 'old', { clientId: 'third' })
    expect((await tracesOf(redis, 'user:ada')).length).toBeGreaterThan(5)
    await identities.remove('user', org, 'ada')
    await eventually('it is sent away', () => here.closed())
    await untilNoTrace(redis, ['user:ada'])
  })

  test('stays of a user who is only suspended', async () => {
    await leaveSession('ada', 'old')
    await identities.put('user', org, 'ada', aUser('ada', 'old', { access: accessByChat, suspended: true }))
    await leaveSession('bob', 'bob-password')
    await identities.remove('user', org, 'bob')
    await untilPurged('user:bob')
    expect(await sessionsOf('user:ada')).toHaveLength(3)
  })

  test('is not found by somebody who is made under the same name', async () => {
    await leaveSession('ada', 'old')
    await identities.put('user', org, 'ada', aUser('ada', 'new', { access: accessByChat, uid: 'another' }))
    const successor = await connect('ada', 'new')
    expect(successor.sessionPresent).toBe(false)
    expect(successor.received).toEqual([])
  })

  test('is found again by the same user with another password', async () => {
    await leaveSession('ada', 'old')
    await identities.put('user', org, 'ada', aUser('ada', 'new', { access: accessByChat }))
    const back = await connect('ada', 'new')
    expect(back.sessionPresent).toBe(true)
    await eventually('what waited comes', () => back.received.length === 1)
  })

  test('goes with the last credential of a person, and not before', async () => {
    for (const local of ['tmp_1', 'tmp_2']) await issue(local, { principal: 'sub:ann' })
    await leaveSession('tmp_1', 'tmp_1-password')
    await credentials.revoke(org, 'tmp_1')
    await identities.remove('user', org, 'nobody')
    const back = await connect('tmp_2', 'tmp_2-password')
    expect(back.sessionPresent).toBe(true)
    await back.end()
    await credentials.revoke(org, 'tmp_2')
    await untilPurged('sub:ann')
  })

  test('goes with an anonymous credential', async () => {
    await issue('tmp_3', { kind: 'anonymous', principal: 'tmp:tmp_3' })
    await leaveSession('tmp_3', 'tmp_3-password')
    expect(await sessionsOf('tmp:tmp_3')).not.toEqual([])
    await credentials.revoke(org, 'tmp_3')
    await untilPurged('tmp:tmp_3')
  })

  test('goes when a barrier is raised for its principal, and nobody else does', async () => {
    await issue('tmp_4', { principal: 'sub:eve' })
    await issue('tmp_5', { principal: 'sub:ann' })
    await leaveSession('tmp_4', 'tmp_4-password')
    await leaveSession('tmp_5', 'tmp_5-password')
    await credentials.raiseBarrier(org, 'principal:sub:eve')
    await untilPurged('sub:eve')
    expect(await sessionsOf('sub:ann')).not.toEqual([])
  })

  test('goes when a barrier is raised for its provider, and nobody else does', async () => {
    await issue('tmp_6', { principal: 'sub:eve', provider: 'clerk' })
    await issue('tmp_7', { principal: 'sub:ann', provider: 'firebase' })
    await leaveSession('tmp_6', 'tmp_6-password')
    await leaveSession('tmp_7', 'tmp_7-password')
    await leaveSession('ada', 'old')
    await credentials.raiseBarrier(org, 'provider:clerk')
    await untilPurged('sub:eve')
    for (const principal of ['sub:ann', 'user:ada']) expect(await sessionsOf(principal)).not.toEqual([])
  })

  test('goes when a barrier is raised for the API key that vouched for it, and nobody else does', async () => {
    const ofKey = { kind: 'worker', apiKey: 'backend' } as const
    await issue('tmp_10', { ...ofKey, principal: 'worker:billing' })
    await issue('tmp_11', { ...ofKey, principal: 'worker:audit', apiKey: 'other' })
    await issue('tmp_12', { ...ofKey, principal: 'sub:kim', kind: 'exchange', provider: 'clerk' })
    const agent = { kind: 'agent', principal: 'agent:helper:sub:kim', provider: 'clerk' } as const
    await issue('tmp_13', { ...ofKey, ...agent })
    for (const name of ['tmp_10', 'tmp_11', 'tmp_12', 'tmp_13']) await leaveSession(name, `${name}-password`)
    await credentials.raiseBarrier(org, 'api-key:backend')
    await untilPurged('worker:billing')
    await untilPurged('agent:helper:sub:kim')
    for (const principal of ['worker:audit', 'sub:kim']) expect(await sessionsOf(principal)).not.toEqual([])
  })

  test('of an agent goes when a barrier is raised for whom it acts for, and no other agent does', async () => {
    await issue('tmp_8', { kind: 'agent', principal: 'agent:helper:sub:eve' })
    await issue('tmp_9', { kind: 'agent', principal: 'agent:helper:sub:ann' })
    await leaveSession('tmp_8', 'tmp_8-password')
    await leaveSession('tmp_9', 'tmp_9-password')
    await credentials.raiseBarrier(org, 'principal:sub:eve')
    await untilPurged('agent:helper:sub:eve')
    expect(await sessionsOf('agent:helper:sub:ann')).not.toEqual([])
  })

  test('goes also when no replica was there as its user went, or when the log was trimmed since', async () => {
    for (const trim of [false, true]) {
      await identities.put('user', org, 'cat', aUser('cat', 'cat-password', { access: accessByChat }))
      await leaveSession('cat', 'cat-password')
      await leaveSession('ada', 'old')
      await broker.stop()
      await identities.remove('user', org, 'cat')
      await identities.put('user', org, 'dan', aUser('dan', 'dan-password', { access: accessByChat }))
      if (trim) await redis.xtrim(keys.control, 'MAXLEN', 0)
      expect(await sessionsOf('user:cat')).not.toEqual([])
      broker = await startBrokerOnRedis(redis)
      await untilPurged('user:cat')
      expect(await sessionsOf('user:ada')).not.toEqual([])
    }
  })

  test('goes with its organization, and what was retained with it', async () => {
    await leaveSession('ada', 'old')
    const bob = await connect('bob', 'bob-password', { clientId: 'sender', clean: true, properties: {} })
    await bob.mqtt.publishAsync('chat/kept', 'kept', { qos: 1, retain: true })
    await bob.end()
    await identities.remove('organization', org, 'organization')
    await untilPurged('user:ada')
    await eventually('nothing is retained', async () => {
      return (await redis.keys(`${prefix}retained*`)).length === 0
    })
  })
})

test('a session that nobody takes up again leaves nothing after the longest time that its organization lets one wait', async () => {
  await identities.put('organization', org, 'organization', anOrganization({ sessionMaxExpiry: 1 }))
  const before = await keysThere()
  const client = await connect('ada', 'old', { properties: { sessionExpiryInterval: 0xffff_fffe } })
  await client.mqtt.subscribeAsync('chat/1', { qos: 1 })
  await client.end()
  const bob = await connect('bob', 'bob-password', { clientId: 'sender', clean: true, properties: {} })
  await bob.mqtt.publishAsync('chat/1', 'for you', { qos: 1 })
  await bob.end()
  expect(await sessionsOf('user:ada')).not.toEqual([])
  await eventually('all is gone', async () => (await keysThere()).join(' ') === before.join(' '), 10_000)
})

test('ten thousand temporary credentials that have expired leave nothing behind', async () => {
  const count = 10_000
  const withSessions = 200
  const before = await keysThere()
  const make = async (number: number): Promise<void> => {
    const local = `tmp_e${number}`
    const isPerson = number % 2 === 0
    const principal = isPerson ? (`sub:p${number}` as const) : (`tmp:${local}` as const)
    const record = aCredential(local, `${local}-password`, {
      access: accessByChat,
      kind: isPerson ? 'exchange' : 'anonymous',
      principal,
    })
    await credentials.create(org, local, record, 4)
  }
  for (let at = 0; at < count; at += 500) {
    await Promise.all(Array.from({ length: 500 }, (_, index) => make(at + index)))
  }
  for (let at = 0; at < withSessions; at += 20) {
    await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const local = `tmp_e${count - 1 - at - index}`
        const client = await connect(local, `${local}-password`, {
          clientId: local,
          properties: { sessionExpiryInterval: 1 },
        })
        await client.mqtt.subscribeAsync('chat/1', { qos: 1 })
        await client.end()
      }),
    )
  }
  expect(await redis.dbsize()).toBeGreaterThan(withSessions)
  await eventually('all is gone', async () => (await keysThere()).join(' ') === before.join(' '), 20_000)
}, 40_000)

/** Those that are there whether or not there were credentials: how changes are told. */
async function keysThere(): Promise<string[]> {
  const told = /:(changes|revision|sequence|sessions|session-ids)$|:control|:mq:(organizations|replicas|gone)/
  return (await redis.keys('*')).filter((key) => !told.test(key)).toSorted()
}
