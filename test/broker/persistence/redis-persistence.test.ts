import { randomUUID } from 'node:crypto'
import { setImmediate as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { silentLog } from '#core/process/logger.ts'
import { type ClusterLocation, redisLocation } from '#core/redis/redis-location.ts'
import type { StrictCluster } from '#core/redis/strict-cluster.ts'
import { connectRedis, nodeOf, type RedisConnection, untilReady } from '#core/stores/redis-connection.ts'
import { RedisPersistence } from '../../../broker/persistence/redis-persistence.ts'
import { describeGroupPersistence } from '../../contracts/groups.ts'
import { describeRetainedMessages } from '../../contracts/retained-messages.ts'
import { describeSessionPersistence } from '../../contracts/session-persistence.ts'
import { AnnouncerHub } from '../../fixtures/announcer-hub.ts'
import { aMessage } from '../../fixtures/messages.ts'
import { type RedisCluster, startRedisCluster } from '../../fixtures/redis-cluster.ts'
import { type RedisServer, startRedisServer } from '../../fixtures/redis-server.ts'

const owner = { id: 'user:ada/device' }
let servers: readonly [RedisServer, RedisCluster]
let redis: RedisConnection
let cluster: StrictCluster

beforeAll(async () => {
  servers = await Promise.all([startRedisServer(), startRedisCluster({ replicasEach: 0 })])
  redis = connectRedis(servers[0].url, 'test', silentLog)
  cluster = connectRedis(redisLocation(servers[1].url) as ClusterLocation, 'test', silentLog)
  for (const each of [redis, cluster]) await untilReady(each, AbortSignal.timeout(10_000))
})

afterAll(async () => {
  redis.disconnect()
  cluster.disconnect()
  await Promise.all(servers.map((server) => server.stop()))
})

const on =
  (connection: () => RedisConnection) =>
  async (announcer = new AnnouncerHub().join()): Promise<RedisPersistence> => {
    const persistence = new RedisPersistence(connection(), `cs:{${randomUUID()}}:mq:`)
    await persistence.setup(announcer)
    return persistence
  }

describeSessionPersistence(
  'RedisPersistence',
  on(() => redis),
)
describeRetainedMessages(
  'RedisPersistence',
  on(() => redis),
)
describeGroupPersistence(
  'RedisPersistence',
  on(() => redis),
)
describeSessionPersistence(
  'RedisPersistence on a Cluster',
  on(() => cluster),
)
describeGroupPersistence(
  'RedisPersistence on a Cluster',
  on(() => cluster),
)
describeRetainedMessages(
  'RedisPersistence on a Cluster',
  on(() => cluster),
)

test('messages keep their order at a node of a Cluster that does not know the scripts yet', async () => {
  const location = redisLocation(servers[1].url) as ClusterLocation
  const topics = Array.from({ length: 60 }, (_, index) => `t/${index}`)
  for (let round = 0; round < 5; round += 1) {
    const fresh = connectRedis(location, 'test', silentLog)
    await untilReady(fresh, AbortSignal.timeout(10_000))
    const [warm, cold] = await onTwoNodes(fresh)
    await nodeOf(fresh, cold.prefix)?.script('FLUSH')
    await warm.publish('warm')
    const published: Promise<void>[] = []
    for (const topic of topics) {
      published.push(cold.publish(topic))
      await (published.length % 3 === 0 ? pause() : undefined)
    }
    await Promise.all(published)
    const page = await cold.persistence.outgoingPage(owner, '', 100)
    expect(page.messages.map(({ message }) => message?.topic)).toEqual(topics)
    for (const { persistence } of [warm, cold]) await persistence.destroy()
    fresh.disconnect()
  }
})

interface Place {
  readonly prefix: string
  readonly persistence: RedisPersistence
  publish(topic: string): Promise<void>
}

/** Two organizations, each with a session that gets everything. */
async function onTwoNodes(redis: StrictCluster): Promise<[Place, Place]> {
  const places: Place[] = []
  while (places.length < 2) {
    const prefix = `cs:{${randomUUID()}}:mq:`
    if (places.some((place) => nodeOf(redis, place.prefix) === nodeOf(redis, prefix))) continue
    const persistence = new RedisPersistence(redis, prefix)
    await persistence.setup(new AnnouncerHub().join())
    await persistence.openSession(owner, false, 60)
    await persistence.addSubscriptions(owner, [{ topic: '#', qos: 1 }])
    places.push({
      prefix,
      persistence,
      publish: async (topic) =>
        persistence.outgoingEnqueueCombi(await persistence.subscriptionsByTopic(topic), aMessage({ topic })),
    })
  }
  return places as [Place, Place]
}
