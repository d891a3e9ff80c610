import { setTimeout as pause } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { silentLog } from '#core/process/logger.ts'
import { connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { connectClient, useClients, deny, everything, type TestClient } from '../fixtures/broker.ts'
import { type Replica, startReplica } from '../fixtures/broker-process.ts'
import { type BrokerReplicas, startBrokerReplicas } from '../fixtures/broker-replicas.ts'
import type { TestCertificate } from '../fixtures/certificates.ts'
import { eventually } from '../fixtures/eventually.ts'
import { type RedisServer, startRedisServer } from '../fixtures/redis-server.ts'
import { putOrganization, putUser } from '../fixtures/stored-users.ts'

const keys = redisKeys()
let place: BrokerReplicas
let server: RedisServer
let redis: Redis
let identities: RedisIdentityStore
let certificate: TestCertificate
let replicas: Replica[]

beforeAll(async () => {
  // A subscriber that reads slowly is cut off soon.
  const limit = ['--client-output-buffer-limit', 'pubsub 2mb 1mb 1']
  place = await startBrokerReplicas(...limit)
  ;({ server, redis, identities, certificate, replicas } = place)
  await putOrganization(identities, ['ada', 'bob', 'carol', 'dan'])
  await identities.markReady()
})

const connectTo = useClients()

afterAll(() => place?.stop())

const start = (): Promise<Replica> => startReplica(server.url, certificate)

type Options = NonNullable<Parameters<typeof connectClient>[2]>

async function connect(
  replica: Replica | undefined,
  local: string,
  options: Options = {},
): Promise<TestClient> {
  const url = `mqtts://127.0.0.1:${replica?.mqtts}`
  return connectTo(url, local, { ca: certificate.cert, ...options })
}

const payloads = (client: TestClient): string[] => client.received.map(({ payload }) => payload)

async function metric(replica: Replica | undefined, name: string): Promise<number> {
  const body = await (await fetch(`http://127.0.0.1:${replica?.probes}/metrics`)).text()
  const line = body.split('\n').find((each) => each.startsWith(`${name} `))
  return Number(line?.split(' ')[1])
}

/** As long as a lease and what follows its end take, and some more. */
const afterLease = 12_000

describe('a replica that is killed', () => {
  test('has the wills of its clients published once, except those that are denied by now or whose client came back', async () => {
    const [one, two] = replicas
    const doomed = await start()
    const watchers = [await connect(one, 'bob'), await connect(two, 'bob')]
    for (const watcher of watchers) await watcher.mqtt.subscribeAsync('will/#', { qos: 1 })
    const willOf = (name: string, over: object = {}): Options => ({
      clientId: name,
      protocolVersion: 5,
      properties: { sessionExpiryInterval: 600 },
      clean: false,
      will: { topic: `will/${name}`, payload: Buffer.from(name), qos: 1, retain: false, ...over },
    })
    const late = { properties: { willDelayInterval: 15 } }
    for (let index = 0; index < 20; index += 1) {
      await connect(doomed, index % 4 === 0 ? 'carol' : 'ada', willOf(`client-${index}`))
    }
    await connect(doomed, 'ada', willOf('back in time', late))
    await connect(doomed, 'ada', willOf('late', late))
    await connect(one, 'ada', willOf('alive'))
    await putUser(identities, 'carol', [...everything, deny(['publish'], 'will/#')])
    await doomed.program.kill()
    const killedAt = performance.now()
    const expected = Array.from({ length: 20 }, (_, index) => `client-${index}`).filter(
      (_, index) => index % 4 !== 0,
    )
    await eventually(
      'the wills arrive',
      () => watchers.every(({ received }) => received.length >= expected.length),
      afterLease,
    )
    const tookMs = performance.now() - killedAt
    const back = await connect(two, 'ada', willOf('back in time', late))
    expect(back.sessionPresent).toBe(true)
    // A replica that has just come has nothing to say about the others.
    const young = await start()
    await connect(young, 'ada', willOf('of a young replica'))
    await pause(Math.max(0, 26_000 - (performance.now() - killedAt)))
    for (const watcher of watchers) {
      expect(payloads(watcher).sort()).toEqual([...expected, 'late'].sort())
    }
    expect(tookMs).toBeGreaterThan(1_000)
    const denied = await Promise.all(
      replicas.map((replica) => metric(replica, 'cloudsignal_broker_wills_total{outcome="denied"}')),
    )
    expect(denied.map((count) => count || 0).reduce((sum, count) => sum + count)).toBe(5)
    await young.program.kill()
  }, 60_000)

  test('comes back and its clients find their id free', async () => {
    const doomed = await start()
    await connect(doomed, 'ada', { clientId: 'again' })
    await doomed.program.kill()
    const again = await connect(replicas[0], 'ada', { clientId: 'again' })
    await pause(afterLease)
    expect(again.closed()).toBe(false)
  }, 30_000)
})

test('a will outlives a time in which no replica runs at all', async () => {
  const own = await startRedisServer()
  const store = connectRedis(own.url, 'test', silentLog)
  await untilReady(store, AbortSignal.timeout(10_000))
  const writer = new RedisIdentityStore(store, keys, new RedisControlLog(store, keys))
  await putOrganization(writer, ['ada'])
  const only = await startReplica(own.url, certificate)
  const will = { topic: 'will', payload: Buffer.from('gone'), qos: 1 as const, retain: true }
  await connect(only, 'ada', { will })
  await only.program.kill()
  const next = await startReplica(own.url, certificate)
  const watcher = await connect(next, 'ada')
  await watcher.mqtt.subscribeAsync('will', { qos: 1 })
  await eventually('it arrives', () => watcher.received.length > 0, 20_000)
  expect(payloads(watcher)).toEqual(['gone'])
  await next.program.kill()
  store.disconnect()
  await own.stop()
}, 40_000)

describe('a client id that is used on two replicas at the same moment', () => {
  test.each([
    ['3.1.1', 4],
    ['5', 5],
  ] as const)(
    'has exactly one connection in the end, each time (MQTT %s)',
    async (_name, protocolVersion) => {
      const survivors: number[] = []
      const codes = new Set<number>()
      for (let round = 0; round < 40; round += 1) {
        const options = { clientId: `contested-${round}`, protocolVersion }
        const both = await Promise.allSettled(replicas.map((replica) => connect(replica, 'ada', options)))
        const connected = both.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
        await eventually('one is left', () => connected.filter((one) => !one.closed()).length <= 1)
        await pause(20)
        survivors.push(connected.filter((one) => !one.closed()).length)
        for (const { goodbyes } of connected) for (const code of goodbyes) codes.add(code)
      }
      expect(survivors).toEqual(Array.from({ length: 40 }, () => 1))
      if (protocolVersion === 5) expect([...codes]).toEqual([0x8e])
    },
  )
})

test('a replica that stands still for so long that Redis cuts it off misses no acknowledged message', async () => {
  const [publisher, there] = [await connect(replicas[0], 'ada'), await connect(replicas[1], 'dan')]
  await there.mqtt.subscribeAsync('slow/#', { qos: 1 })
  const before = await metric(replicas[1], 'cloudsignal_broker_bus_interruptions_total')
  const filling = 'x'.repeat(2_000)
  const thaw = replicas[1]?.program.freeze()
  for (let index = 0; index < 6_000; index += 100) {
    const some = Array.from({ length: 100 }, (_, offset) => `slow/${index + offset}`)
    await Promise.all(some.map((topic) => publisher.mqtt.publishAsync(topic, filling, { qos: 1 })))
  }
  await eventually('Redis has cut it off', async () => {
    const list = String(await redis.call('CLIENT', 'LIST', 'TYPE', 'pubsub'))
    return list.trim().split('\n').length < 2
  })
  thaw?.()
  await eventually('all arrive', () => there.received.length >= 6_000, 20_000)
  expect(there.received.map(({ topic }) => topic)).toEqual(
    Array.from({ length: 6_000 }, (_, index) => `slow/${index}`),
  )
  expect(await metric(replicas[1], 'cloudsignal_broker_bus_interruptions_total')).toBeGreaterThan(before)
}, 40_000)

describe('pub/sub connections that are cut while messages flow', () => {
  test('lose no acknowledged QoS 1 message, repeat none and keep the order', async () => {
    const [publisher, here, there] = [
      await connect(replicas[0], 'ada'),
      await connect(replicas[0], 'bob'),
      await connect(replicas[1], 'dan'),
    ]
    for (const client of [here, there]) await client.mqtt.subscribeAsync('flow', { qos: 1 })
    const all = Array.from({ length: 3_000 }, (_, index) => String(index))
    const acknowledged: Promise<unknown>[] = []
    for (const [index, payload] of all.entries()) {
      acknowledged.push(publisher.mqtt.publishAsync('flow', payload, { qos: 1 }))
      if (index % 600 === 300) await redis.client('KILL', 'TYPE', 'pubsub')
      if (index % 20 === 0) await Promise.all(acknowledged)
    }
    await Promise.all(acknowledged)
    await eventually('all arrive', () => there.received.length >= 3_000 && here.received.length >= 3_000)
    await pause(200)
    expect(payloads(here)).toEqual(all)
    expect(payloads(there)).toEqual(all)
    expect(await metric(replicas[1], 'cloudsignal_broker_bus_interruptions_total')).toBeGreaterThan(0)
    expect(await metric(replicas[1], 'cloudsignal_broker_bus_lost_total')).toBe(0)
  })
})
