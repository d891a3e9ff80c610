import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { silentLog } from '#core/process/logger.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import type { RoutedMessage } from '../../../broker/aedes/messages.ts'
import type { RedisBus } from '../../../broker/bus/redis-bus.ts'
import { RedisClientRegistry } from '../../../broker/cluster/redis-client-registry.ts'
import { RedisMembership, type LeaseTimes } from '../../../broker/cluster/redis-membership.ts'
import { aRoutedMessage, type BusReplicas, startBusReplicas } from '../../fixtures/bus-replicas.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { anOrganizationId as org } from '../../fixtures/records.ts'

const keys = redisKeys()
let replicas: BusReplicas
let ends: (() => unknown)[]

beforeEach(async () => {
  replicas = await startBusReplicas()
  ends = []
})
afterEach(async () => {
  for (const end of ends) await end()
  await replicas.stop()
})
async function replica(times?: LeaseTimes) {
  const { bus, publisher, subscriber } = await replicas.replica()
  const registry = new RedisClientRegistry(publisher, keys, bus.replica)
  const membership = new RedisMembership({
    redis: publisher,
    keys,
    replica: bus.replica,
    registry,
    log: silentLog,
    ...(times ? { times } : {}),
  })
  await membership.enlist({ lapsed: () => {}, gone: async () => {} })
  ends.push(() => membership.close())
  const numbers: number[] = []
  // As redisCluster's emitter does it.
  await membership.serves(org)
  await bus.join(
    org,
    ({ payload }) => numbers.push(Number(payload)),
    undefined,
    () => membership.isServedElsewhere(org),
  )
  return { bus, publisher, subscriber, membership, numbers }
}
const message = (n: number): RoutedMessage =>
  aRoutedMessage({ payload: Buffer.from(String(n)), brokerCounter: n })
function keepSending(bus: RedisBus) {
  const sending = { acknowledged: [] as number[], unsent: 0, stop: async () => {} }
  const stopping = new AbortController()
  const done = (async () => {
    for (let n = 0; !stopping.signal.aborted; n += 1) {
      const answer = bus.send(org, message(n))
      if (answer === undefined) sending.unsent += 1
      // What is not certain is not acknowledged.
      const isSent = await (answer?.then(
        () => true,
        () => false,
      ) ?? true)
      if (isSent) sending.acknowledged.push(n)
      await pause(2)
    }
  })()
  sending.stop = async () => (stopping.abort(), await done)
  return sending
}
async function missing(two: { numbers: number[] }, sending: ReturnType<typeof keepSending>, from: number) {
  await pause(3_000)
  const got = new Set(two.numbers)
  return sending.acknowledged.filter((n) => n >= from && !got.has(n)).length
}

test('Redis that comes back empty: nothing acknowledged is lost for a replica whose connection is back a moment later', async () => {
  const [one, two] = [await replica(), await replica()]
  await pause(6_500) // leases are unbroken
  const sending = keepSending(one.bus)
  await eventually('both hear each other', () => two.numbers.length > 20)
  expect(sending.unsent).toBe(0)
  await replicas.server.kill()
  two.subscriber.disconnect()
  const from = sending.acknowledged.at(-1)! + 1
  await replicas.server.start()
  await eventually('one has a subscription again', () => one.subscriber.status === 'ready')
  await pause(900)
  await two.subscriber.connect()
  await pause(300)
  await sending.stop()
  expect({ missing: await missing(two, sending, from), unsent: sending.unsent }).toEqual({
    missing: 0,
    unsent: 0,
  })
}, 60_000)

test.each([
  ['shorter than', 300],
  ['longer than', 1_800],
])(
  'a replica that was cut off for a time %s its lease gets what was sent meanwhile',
  async (_what, ms) => {
    const times = { leaseMs: 600, renewMs: 100 }
    const [one, two] = [await replica(times), await replica(times)]
    await pause(1_000)
    const sending = keepSending(one.bus)
    await eventually('both hear each other', () => two.numbers.length > 20)
    for (const redis of [two.publisher, two.subscriber]) redis.disconnect()
    await pause(ms)
    await Promise.all([two.publisher, two.subscriber].map((redis) => redis.connect()))
    await pause(300)
    await sending.stop()
    expect({ missing: await missing(two, sending, 0) }).toEqual({ missing: 0 })
  },
  60_000,
)

test('a replica whose lease had ended says again whom it serves, though Redis fails once meanwhile', async () => {
  const times = { leaseMs: 600, renewMs: 100 }
  const [one, two] = [await replica(times), await replica(times)]
  await pause(1_000)
  const control = await replicas.connection()
  // Redis forgets; the first SADD after that fails once.
  const sadd = two.publisher.sadd.bind(two.publisher)
  let failures = 0
  two.publisher.sadd = ((...args: Parameters<typeof sadd>) => {
    if (failures++ === 0) return Promise.reject(new Error('Connection is closed.'))
    return sadd(...args)
  }) as never
  await control.flushall()
  await pause(3_000)
  expect(failures).toBeGreaterThan(0)
  expect(await control.smembers(keys.replicaOrganizations(two.bus.replica))).toEqual([org])
  expect(await one.membership.isServedElsewhere(org)).toBe(true)
}, 30_000)

test('a replica that comes back while it is buried keeps its organizations', async () => {
  const times = { leaseMs: 600, renewMs: 100 }
  const [one, two] = [await replica(times), await replica(times)]
  await pause(1_000)
  two.publisher.disconnect()
  await eventually('it is being buried', async () => !(await one.membership.live()).includes(two.bus.replica))
  await pause(150)
  await two.publisher.connect()
  await pause(500)
  expect(await one.publisher.smembers(keys.replicaOrganizations(two.bus.replica))).toEqual([org])
  expect(await one.publisher.ttl(keys.replicaOrganizations(two.bus.replica))).toBe(-1)
}, 30_000)
