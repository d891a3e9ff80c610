import { Redis } from 'ioredis'
import type { Clock } from '#core/clock.ts'
import type { RedisConnection } from './redis-connection.ts'
import type { RedisProbe } from './redis-metrics.ts'
import type { RedisKeys } from './redis-keys.ts'
import { redisScript } from './redis-script.ts'

const everyMs = 500
const longestSilenceMs = 1_500

/** Redis' time, for deciding when something expires that Redis expires too; and whether Redis answers at all. */
export interface RedisClock {
  readonly now: Clock
  /** False when the last answer is too old: a Redis that hangs has an open connection all the same. */
  reachable(): boolean
  close(): void
}

/** By the node that has the key, and only while it serves it. */
const timeAt = redisScript(`return redis.call('TIME')`)

/**
 * Asks Redis for its time twice a second; while it is away our own clock runs on with the last difference.
 *
 * Of a Cluster it asks the node with the control log: without that nobody learns what was revoked. While another
 * node is away, the organizations of that one are, and all others are served.
 */
export function startRedisClock(redis: RedisConnection, keys: RedisKeys, probe?: RedisProbe): RedisClock {
  let offset = 0
  let answeredAt = -Infinity
  const ask = (): Promise<unknown> =>
    redis instanceof Redis ? redis.time() : timeAt(redis, [keys.control], [])
  const measure = async (): Promise<void> => {
    const began = performance.now()
    try {
      const before = Date.now()
      const [seconds, microseconds] = (await ask()) as [number | string, number | string]
      answeredAt = performance.now()
      probe?.probed((answeredAt - began) / 1_000)
      offset = Number(seconds) * 1_000 + Number(microseconds) / 1_000 - (before + Date.now()) / 2
    } catch {
      // The last difference is better than none.
      probe?.probed(undefined)
    }
  }
  const onReady = (): void => void measure()
  redis.on('ready', onReady)
  const timer = setInterval(measure, everyMs)
  timer.unref()
  void measure()
  const reachable = (): boolean =>
    redis.status === 'ready' && performance.now() - answeredAt < longestSilenceMs
  probe?.reachable(reachable)
  return {
    now: () => Date.now() + offset,
    reachable,
    close() {
      clearInterval(timer)
      redis.off('ready', onReady)
    },
  }
}
