import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll } from 'vitest'
import { silentLog } from '#core/process/logger.ts'
import { redisLocation } from '#core/redis/redis-location.ts'
import { connectRedis, type RedisConnection, untilReady } from '#core/stores/redis-connection.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { RedisClientRegistry } from '../../../broker/cluster/redis-client-registry.ts'
import { clientRegistryContract } from '../../contracts/client-registry.ts'
import { anOrganizationId, anotherOrganizationId } from '../../fixtures/records.ts'
import { type RedisCluster, startRedisCluster } from '../../fixtures/redis-cluster.ts'

let place: RedisCluster
let redis: RedisConnection

beforeAll(async () => {
  place = await startRedisCluster({ replicasEach: 0 })
  redis = connectRedis(redisLocation(place.url), 'test', silentLog)
  await untilReady(redis, AbortSignal.timeout(10_000))
})

afterAll(async () => {
  redis.disconnect()
  await place.stop()
})

clientRegistryContract(async () => {
  const keys = redisKeys(randomUUID())
  return {
    here: new RedisClientRegistry(redis, keys, 'r1'),
    there: new RedisClientRegistry(redis, keys, 'r2'),
    // Instead of waiting: moves every time that is stored into the past.
    async advance(ms) {
      const sets = [anOrganizationId, anotherOrganizationId].map((one) => `${keys.messaging(one)}clients:due`)
      for (const key of [...sets, keys.willSchedule]) {
        for (const member of await redis.zrange(key, 0, -1)) await redis.zincrby(key, -ms, member)
      }
    },
  }
})
