import { Registry } from 'prom-client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { silentLog } from '#core/process/logger.ts'
import { type RedisClock, startRedisClock } from '#core/stores/redis-clock.ts'
import { connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { createRedisMetrics } from '#core/stores/redis-metrics.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { type RedisServer, startRedisServer } from '../../fixtures/redis-server.ts'

describe('the metrics of a connection to Redis', () => {
  let server: RedisServer
  let redis: ReturnType<typeof connectRedis>
  let clock: RedisClock
  let registry: Registry

  beforeEach(async () => {
    server = await startRedisServer('--maxmemory-policy', 'noeviction')
    registry = new Registry()
    const metrics = createRedisMetrics(registry)
    redis = connectRedis(server.url, 'test', silentLog)
    metrics.watch('test', redis)
    clock = startRedisClock(redis, redisKeys(), metrics.probe)
    await untilReady(redis, AbortSignal.timeout(10_000))
  })
  afterEach(async () => {
    clock.close()
    redis.disconnect()
    await server.stop()
  })

  const valueOf = async (sample: string): Promise<number> => {
    const line = (await registry.metrics()).split('\n').find((one) => one.startsWith(`${sample} `))
    return Number(line?.split(' ').at(-1))
  }

  test('say that Redis answers, how fast, and when it does no longer', async () => {
    await eventually('it is up', async () => (await valueOf('cloudsignal_redis_up')) === 1)
    expect(await valueOf('cloudsignal_redis_connection_ready{connection="test"}')).toBe(1)
    expect(await valueOf('cloudsignal_redis_probe_duration_seconds_count')).toBeGreaterThan(0)
    expect(await valueOf('cloudsignal_redis_disconnects_total{connection="test"}')).toBe(0)
    await server.kill()
    await eventually('it is down', async () => (await valueOf('cloudsignal_redis_up')) === 0)
    expect(await valueOf('cloudsignal_redis_connection_ready{connection="test"}')).toBe(0)
    expect(await valueOf('cloudsignal_redis_disconnects_total{connection="test"}')).toBeGreaterThan(0)
    await eventually(
      'a probe has failed',
      async () => (await valueOf('cloudsignal_redis_probe_failures_total')) > 0,
    )
  })

  test('count what Redis refuses by its word, and not what is in the course of things', async () => {
    const refused = (error: string): Promise<number> =>
      valueOf(`cloudsignal_redis_error_replies_total{connection="test",error="${error}"}`)
    expect([await refused('OOM'), await refused('ERR'), await refused('other')]).toEqual([0, 0, 0])
    await redis.config('SET', 'maxmemory', '1')
    await expect(redis.set('key', 'value')).rejects.toThrow('OOM')
    await expect(redis.evalsha('0'.repeat(40), 0)).rejects.toThrow('NOSCRIPT')
    await redis.config('SET', 'maxmemory', '0')
    await redis.set('key', 'value')
    await expect(redis.hget('key', 'field')).rejects.toThrow('WRONGTYPE')
    await expect(redis.call('NO-SUCH-COMMAND')).rejects.toThrow('ERR')
    expect([await refused('OOM'), await refused('ERR'), await refused('other')]).toEqual([1, 1, 1])
  })
})
