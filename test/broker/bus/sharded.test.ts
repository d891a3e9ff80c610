import type { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { silentLog } from '#core/process/logger.ts'
import { redisLocation } from '#core/redis/redis-location.ts'
import { connectRedis, nodeOf, type RedisConnection, untilReady } from '#core/stores/redis-connection.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import type { RoutedMessage } from '../../../broker/aedes/messages.ts'
import { RedisBus } from '../../../broker/bus/redis-bus.ts'
import { aRoutedMessage } from '../../fixtures/bus-replicas.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { anOrganizationId, anotherOrganizationId } from '../../fixtures/records.ts'
import { type RedisCluster, startRedisCluster } from '../../fixtures/redis-cluster.ts'
import type { RedisServer } from '../../fixtures/redis-server.ts'

let place: RedisCluster
const connections: RedisConnection[] = []
const buses: RedisBus[] = []

beforeAll(async () => {
  place = await startRedisCluster()
})

afterAll(async () => {
  for (const bus of buses) bus.close()
  for (const each of connections) each.disconnect()
  await place.stop()
})

async function replica(): Promise<RedisBus> {
  const location = redisLocation(place.url)
  const publisher = connectRedis(location, 'test', silentLog)
  const subscriber = connectRedis(location, 'test-bus', silentLog)
  connections.push(publisher, subscriber)
  for (const each of [publisher, subscriber]) await untilReady(each, AbortSignal.timeout(10_000))
  const bus = new RedisBus({ publisher, subscriber, keys, log: silentLog })
  buses.push(bus)
  return bus
}

const message = (topic: string): RoutedMessage => aRoutedMessage({ topic })

const keys = redisKeys()
const channel = `${keys.messaging(anOrganizationId)}bus`
const topics = Array.from({ length: 600 }, (_, index) => `t/${index}`)

/** As they came first: what was refused may have reached Redis before it was sent again. */
const once = (received: readonly string[]): string[] => [...new Set(received)]

/** Sends all, each until it is taken; calls `halfway` in the middle. */
async function sendAll(bus: RedisBus, halfway: () => unknown): Promise<void> {
  for (const [index, topic] of topics.entries()) {
    await eventually(`${topic} is sent`, () =>
      Promise.resolve(bus.send(anOrganizationId, message(topic))).then(
        () => true,
        () => false,
      ),
    )
    if (index === 300) await halfway()
  }
}

describe('on a Redis Cluster', () => {
  const seen: string[] = []
  const foreign: string[] = []
  let one: RedisBus
  let two: RedisBus
  beforeAll(async () => {
    ;[one, two] = [await replica(), await replica()]
    await one.join(anOrganizationId, () => {})
    await two.join(anOrganizationId, ({ topic }) => seen.push(topic))
    await two.join(anotherOrganizationId, ({ topic }) => foreign.push(topic))
  })
  afterEach(() => {
    seen.length = 0
  })

  test('messages go over sharded channels, each organization in its slot, and a cut loses none', async () => {
    const node = nodeOf(connections[0] as RedisConnection, channel) as Redis
    expect(await node.pubsub('SHARDCHANNELS')).toContain(channel)
    expect(await node.pubsub('CHANNELS')).toEqual([])
    await sendAll(one, () => node.client('KILL', 'TYPE', 'pubsub'))
    await eventually('all have arrived', () => seen.length >= 600)
    expect(seen).toEqual(topics)
    expect(foreign).toEqual([])
  })

  test('a slot that moves to another master takes its messages along', async () => {
    const from = await place.serverOf(channel)
    const to = place.masters.find((server) => server !== from) as RedisServer
    await sendAll(one, () => place.moveSlot(channel, to))
    await eventually('all have arrived', () => once(seen).length >= 600, 2_000)
    expect(once(seen)).toEqual(topics)
    expect(await place.serverOf(channel)).toBe(to)
  })

  test('a master that hangs holds nothing up once there is another', async () => {
    const master = await place.serverOf(channel)
    master.suspend()
    await eventually('there is another', async () => (await place.serverOf(channel)) !== master)
    await sendAll(one, () => {})
    await eventually('all have arrived', () => once(seen).length >= 600, 3_000)
    expect(once(seen)).toEqual(topics)
    master.resume()
    await place.untilWhole()
  })

  test('a master that dies takes no message along that was sent', async () => {
    const master = await place.serverOf(channel)
    await sendAll(one, () => master.kill())
    await eventually('all have arrived', () => once(seen).length >= 600, 3_000)
    expect(once(seen)).toEqual(topics)
    expect(await place.serverOf(channel)).not.toBe(master)
    expect(foreign).toEqual([])
  })
})
