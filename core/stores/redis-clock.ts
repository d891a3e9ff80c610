import type { Redis } from 'ioredis'
import type { Clock } from '#core/clock.ts'

const everyMs = 30_000

/** Redis' time, for deciding when something expires that Redis expires too. */
export interface RedisClock {
  readonly now: Clock
  close(): void
}

/** Asks Redis now and then how far its clock is from ours; between, and while it is away, ours runs on. */
export function startRedisClock(redis: Redis): RedisClock {
  let offset = 0
  const measure = async (): Promise<void> => {
    try {
      const before = Date.now()
      const [seconds, microseconds] = await redis.time()
      const after = Date.now()
      offset = Number(seconds) * 1_000 + Number(microseconds) / 1_000 - (before + after) / 2
    } catch {
      // The last offset is better than none.
    }
  }
  const onReady = (): void => void measure()
  redis.on('ready', onReady)
  const timer = setInterval(measure, everyMs)
  timer.unref()
  void measure()
  return {
    now: () => Date.now() + offset,
    close() {
      clearInterval(timer)
      redis.off('ready', onReady)
    },
  }
}
