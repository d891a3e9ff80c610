import { setTimeout as pause } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { Registry } from 'prom-client'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { silentLog } from '#core/process/logger.ts'
import { connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisCredentialRenewer, RedisCredentialStore } from '#core/stores/redis-credential-store.ts'
import { RedisIdentityReader } from '#core/stores/redis-identity-reader.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { RedisBus } from '../../broker/bus/redis-bus.ts'
import { emptyPolicy } from '#core/access/access-policy.ts'
import { type Cluster, redisCluster } from '../../broker/organizations/cluster.ts'
import { connectClient, deny, everything, startTestBroker, type TestBroker } from '../fixtures/broker.ts'
import { eventually } from '../fixtures/eventually.ts'
import { encode, rawClient } from '../fixtures/raw-client.ts'
import { aCredential, anOrganization, anOrganizationId as org, aUser } from '../fixtures/records.ts'
import { type RedisServer, startRedisServer } from '../fixtures/redis-server.ts'

const keys = redisKeys()
let server: RedisServer, redis: Redis, credentials: RedisCredentialStore, controlLog: RedisControlLog
let connections: Redis[], brokers: TestBroker[], buses: RedisBus[]

beforeEach(async () => {
  server = await startRedisServer()
  ;[connections, brokers, buses] = [[], [], []]
  redis = await connection()
  controlLog = new RedisControlLog(redis, keys)
  credentials = new RedisCredentialStore(redis, keys, controlLog)
  const identities = new RedisIdentityStore(redis, keys, controlLog)
  await identities.put('organization', org, 'organization', anOrganization())
  for (const name of ['ada', 'bob', 'carol']) {
    const access = { ...emptyPolicy, rules: [...everything, deny(['publish'], 'forbidden')] }
    await identities.put('user', org, name, aUser(name, `${name}-password`, { access }))
  }
  await identities.markReady()
})
afterEach(async () => {
  for (const broker of brokers) await broker.stop()
  for (const bus of buses) bus.close()
  for (const each of connections) each.disconnect()
  await server.stop()
})
async function connection(): Promise<Redis> {
  const one = connectRedis(server.url, 'test', silentLog)
  connections.push(one)
  await untilReady(one, AbortSignal.timeout(10_000))
  return one
}
async function replica(change: (cluster: Cluster) => Cluster = (one) => one) {
  const [own, subscriber] = [await connection(), await connection()]
  const bus = new RedisBus({ publisher: own, subscriber, keys, log: silentLog })
  buses.push(bus)
  const broker = await startTestBroker({
    identities: new RedisIdentityReader(own, keys),
    credentials: new RedisCredentialRenewer(own, keys, new RedisControlLog(own, keys)),
    controlLog: new RedisControlLog(own, keys),
    cluster: change(redisCluster(own, own, keys, bus, silentLog)),
    registry: new Registry(),
  })
  brokers.push(broker)
  return { broker, subscriber, port: broker.port, url: `mqtt://127.0.0.1:${broker.port}` }
}

test('what the control log reports as done everywhere is done', async () => {
  const arrived = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const { port } = await replica((cluster) => {
    const clients = Object.create(cluster.clients) as typeof cluster.clients
    clients.arrive = async (...args) => {
      const answer = await cluster.clients.arrive(...args)
      if (args[0].id.endsWith('/late')) {
        arrived.resolve()
        await gate.promise
      }
      return answer
    }
    for (const name of ['confirm', 'leave', 'takeDue', 'settle', 'postpone'] as const) {
      clients[name] = cluster.clients[name].bind(cluster.clients) as never
    }
    return { ...cluster, clients }
  })
  const carol = await connectClient(`mqtt://127.0.0.1:${port}`, 'carol', {})
  await carol.mqtt.subscribeAsync('#', { qos: 1 })
  const access = { ...emptyPolicy, rules: [...everything] }
  await credentials.create(org, 'tmp_a', aCredential('tmp_a', 'secret', { access, provider: 'clerk' }), 60)
  const client = await rawClient(port)
  client.send(
    encode({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 4,
      clientId: 'late',
      clean: true,
      keepalive: 60,
      username: `tmp_a@${org}`,
      password: Buffer.from('secret'),
    }),
  )
  client.send(
    encode({
      cmd: 'publish',
      topic: 'after/revocation',
      payload: 'x',
      qos: 1,
      messageId: 1,
      retain: false,
      dup: false,
    }),
  )
  await arrived.promise
  const { position } = await credentials.raiseBarrier(org, 'provider:clerk')
  const applied = await controlLog.applied([position], 500)
  gate.resolve()
  await pause(500)
  // Either it says that something is missing, or nothing of that credential is taken any more.
  expect({ missing: applied.missing.length, taken: carol.received.map(({ topic }) => topic) }).not.toEqual({
    missing: 0,
    taken: ['after/revocation'],
  })
})

test('messages of one topic stay in order when the last stored subscription goes while one is being stored', async () => {
  const { url } = await replica((cluster) => ({
    ...cluster,
    persistence(organization) {
      const persistence = cluster.persistence(organization)
      const enqueue = persistence.outgoingEnqueueCombi.bind(persistence)
      // As long as WAIT takes with durability replicated.
      persistence.outgoingEnqueueCombi = async (...args) => {
        await enqueue(...args)
        await pause(300)
      }
      return persistence
    },
  }))
  const bob = await connectClient(url, 'bob', { clean: false, clientId: 'bob' })
  await bob.mqtt.subscribeAsync('t', { qos: 1 })
  const carol = await connectClient(url, 'carol', {})
  await carol.mqtt.subscribeAsync('t', { qos: 1 })
  const ada = await connectClient(url, 'ada', {})
  ada.mqtt.publish('t', '1', { qos: 1 })
  await pause(50)
  await bob.mqtt.unsubscribeAsync('t')
  ada.mqtt.publish('t', '2', { qos: 1 })
  await eventually('both came', () => carol.received.length === 2)
  await Promise.all([bob, carol, ada].map((one) => one.end()))
  expect(carol.received.map(({ payload }) => payload)).toEqual(['1', '2'])
})

test('PUBACKs come in the order of their PUBLISHes [MQTT-4.6.0-2], refused ones too', async () => {
  const { url, port } = await replica()
  const bob = await connectClient(url, 'bob', { clean: false, clientId: 'bob' })
  await bob.mqtt.subscribeAsync('t', { qos: 1 })
  const client = await rawClient(port)
  client.send(
    encode({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 4,
      clientId: 'x',
      clean: true,
      keepalive: 60,
      username: `ada@${org}`,
      password: Buffer.from('ada-password'),
    }),
  )
  await client.next('connack')
  const publish = (topic: string, messageId: number) =>
    encode({ cmd: 'publish', topic, payload: 'x', qos: 1, messageId, retain: false, dup: false })
  client.send(Buffer.concat([publish('t', 1), publish('forbidden', 2)]))
  await eventually('both', () => client.packets.filter(({ cmd }) => cmd === 'puback').length === 2)
  await bob.end()
  client.destroy()
  expect(client.packets.filter(({ cmd }) => cmd === 'puback').map(({ messageId }) => messageId)).toEqual([
    1, 2,
  ])
})

test.each([
  ['is there', false],
  ['is cut for a moment', true],
])(
  'a stored session on another replica misses nothing when the publisher’s subscription %s',
  async (_w, cut) => {
    const [one, two] = [await replica(), await replica()]
    const ada = await connectClient(one.url, 'ada', {})
    if (cut) one.subscriber.disconnect()
    const bob = await connectClient(two.url, 'bob', { clean: false, clientId: 'bob' })
    await bob.mqtt.subscribeAsync('t', { qos: 1 })
    await bob.mqtt.endAsync()
    await pause(100)
    // Acknowledged.
    await ada.mqtt.publishAsync('t', 'x', { qos: 1 })
    if (cut) await one.subscriber.connect()
    await pause(300)
    const again = await connectClient(two.url, 'bob', { clean: false, clientId: 'bob' })
    await pause(500)
    const got = again.received.map(({ payload }) => payload)
    await Promise.all([ada, again].map((each) => each.end()))
    expect(got).toEqual(['x'])
  },
)
