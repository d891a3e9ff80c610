import { randomUUID } from 'node:crypto'
import { Cluster, type Redis } from 'ioredis'
import { afterAll, beforeAll } from 'vitest'
import { silentLog } from '#core/process/logger.ts'
import { connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { RedisPersistence } from '../../../broker/persistence/redis-persistence.ts'
import { describeRetainedMessages } from '../../contracts/retained-messages.ts'
import { describeSessionPersistence } from '../../contracts/session-persistence.ts'
import { AnnouncerHub } from '../../fixtures/announcer-hub.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { type RedisServer, startRedisServer } from '../../fixtures/redis-server.ts'

const servers: RedisServer[] = []
let redis: Redis
/** One node that has all slots: it refuses what does not lie in one slot, as many do. */
let cluster: Cluster

beforeAll(async () => {
  const [alone, node] = await Promise.all([
    startRedisServer(),
    startRedisServer('--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1'),
  ])
  servers.push(alone, node)
  redis = connectRedis(alone.url, 'test', silentLog)
  await untilReady(redis, AbortSignal.timeout(10_000))
  const control = connectRedis(node.url, 'test', silentLog, { enableOfflineQueue: true })
  await control.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
  await eventually('the cluster is ready', async () =>
    String(await control.call('CLUSTER', 'INFO')).includes('cluster_state:ok'),
  )
  control.disconnect()
  cluster = new Cluster([{ host: '127.0.0.1', port: Number(new URL(node.url).port) }])
  await eventually('it is connected', () => cluster.status === 'ready')
})

afterAll(async () => {
  redis.disconnect()
  cluster.disconnect()
  for (const server of servers) await server.stop()
})

const on = (connection: () => Redis | Cluster) => async (): Promise<RedisPersistence> => {
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
