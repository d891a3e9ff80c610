import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll } from 'vitest'
import { silentLog } from '#core/process/logger.ts'
import { connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { RedisPersistence } from '../../../broker/persistence/redis-persistence.ts'
import { describeRetainedMessages } from '../../contracts/retained-messages.ts'
import { describeSessionPersistence } from '../../contracts/session-persistence.ts'
import { AnnouncerHub } from '../../fixtures/announcer-hub.ts'
import { type RedisServer, startRedisServer } from '../../fixtures/redis-server.ts'

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedisServer()
  redis = connectRedis(server.url, 'test', silentLog)
  await untilReady(redis, AbortSignal.timeout(10_000))
})

afterAll(async () => {
  redis.disconnect()
  await server.stop()
})

async function create(): Promise<RedisPersistence> {
  const persistence = new RedisPersistence(redis, `cs:{${randomUUID()}}:mq:`)
  await persistence.setup(new AnnouncerHub().join())
  return persistence
}

describeSessionPersistence('RedisPersistence', create)
describeRetainedMessages('RedisPersistence', create)
