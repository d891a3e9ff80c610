import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll } from 'vitest'
import { silentLog } from '#core/process/logger.ts'
import { redisLocation } from '#core/redis/redis-location.ts'
import { connectRedis, type RedisConnection, untilReady } from '#core/stores/redis-connection.ts'
import { RedisPersistence } from '../../../broker/persistence/redis-persistence.ts'
import { describeRetainedMessages } from '../../contracts/retained-messages.ts'
import { describeSessionPersistence } from '../../contracts/session-persistence.ts'
import { AnnouncerHub } from '../../fixtures/announcer-hub.ts'
import { type RedisCluster, startRedisCluster } from '../../fixtures/redis-cluster.ts'
import { type RedisServer, startRedisServer } from '../../fixtures/redis-server.ts'

let servers: readonly [RedisServer, RedisCluster]
let redis: RedisConnection
let cluster: RedisConnection

beforeAll(async () => {
  servers = await Promise.all([startRedisServer(), startRedisCluster({ replicasEach: 0 })])
  redis = connectRedis(servers[0].url, 'test', silentLog)
  cluster = connectRedis(redisLocation(servers[1].url), 'test', silentLog)
  for (const each of [redis, cluster]) await untilReady(each, AbortSignal.timeout(10_000))
})

afterAll(async () => {
  redis.disconnect()
  cluster.disconnect()
  await Promise.all(servers.map((server) => server.stop()))
})

const on = (connection: () => RedisConnection) => async (): Promise<RedisPersistence> => {
  const persistence = new RedisPersistence(connection(), `cs:{${randomUUID()}}:mq:`)
  await persistence.setup(new AnnouncerHub().join())
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
describeSessionPersistence(
  'RedisPersistence on a Cluster',
  on(() => cluster),
)
describeRetainedMessages(
  'RedisPersistence on a Cluster',
  on(() => cluster),
)
