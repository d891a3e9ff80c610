import type { Redis } from 'ioredis'
import { afterAll, beforeAll } from 'vitest'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { RedisSessionDirectory } from '#core/stores/redis-session-directory.ts'
import { RedisClientRegistry } from '../../../broker/cluster/redis-client-registry.ts'
import { memoryCluster } from '../../../broker/organizations/cluster.ts'
import { RedisPersistence } from '../../../broker/persistence/redis-persistence.ts'
import { describeSessionDirectory } from '../../contracts/session-directory.ts'
import { AnnouncerHub } from '../../fixtures/announcer-hub.ts'
import { type ConnectedRedis, startConnectedRedis } from '../../fixtures/connected-redis.ts'
import { anOrganizationId as org } from '../../fixtures/records.ts'

let place: ConnectedRedis
let redis: Redis

beforeAll(async () => {
  place = await startConnectedRedis()
  redis = await place.connection()
})
afterAll(() => place.stop())

describeSessionDirectory('The directory on Redis', async () => {
  await redis.flushall()
  const keys = redisKeys()
  const persistence = new RedisPersistence(redis, keys.messaging(org))
  await persistence.setup(new AnnouncerHub().join())
  const registry = new RedisClientRegistry(redis, keys, 'r1')
  return { directory: new RedisSessionDirectory(redis, keys), registry, persistence }
})

describeSessionDirectory('The directory in memory', async () => {
  const cluster = memoryCluster()
  return { directory: cluster.sessions, registry: cluster.clients, persistence: cluster.persistence(org) }
})
