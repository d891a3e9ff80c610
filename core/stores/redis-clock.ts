import type { Redis } from 'ioredis'
import type { Clock } from '#core/clock.ts'

const everyMs = 500
const longestSilenceMs = 1_500

/** Redis' time, for deciding when something expires that Redis expires too; and whether Redis answers at all. */
export interface RedisClock {
  readonly now: Clock
  /** False when the last answer is too old: a Redis that hangs has an open connection all the same. */
  reachable(): boolean
  close(): void
}

/** Asks Redis for its time twice a second; while it is away our own clock runs on with the last difference. */
export function startRedisClock(redis: Redis): RedisClock {
  let offset = 0
  let answeredAt = -Infinity
  const measure = async (): Promise<void> => {
    try {
      const before = Date.now()
      const [seconds, microseconds] = await redis.time()
      answeredAt = performance.now()
      offset = Number(seconds) * 1_000 + Number(microseconds) / 1_000 - (before + Date.now()) / 2
    } catch {
      // The last difference is better than none.
    }
  }
  const onReady = (): void => void measure()
  redis.on('ready', onReady)
  const timer = setInterval(measure, everyMs)
  timer.unref()
  void measure()
  return {
    now: () => Date.now() + offset,
    reachable: () => redis.status === 'ready' && performance.now() - answeredAt < longestSilenceMs,
    close() {
      clearInterval(timer)
      redis.off('ready', onReady)
    },
  }
}
