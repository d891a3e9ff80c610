import { setTimeout as pause } from 'node:timers/promises'
import { startRedisServer } from '../../test/fixtures/redis-server.ts'
import type { Fault } from '../fault.ts'
import { startSlowWay } from '../slow-way.ts'
import { startStage } from '../stage.ts'

const slowMs = 100
const lastsMs = 5_000

let way: Awaited<ReturnType<typeof startSlowWay>>

export const slowRedis: Fault = {
  name: 'slow-redis',
  summary: 'Redis is 200 ms away for five seconds, and its connections are cut in between',
  mostGapMs: () => lastsMs + 3_000,
  stage: () =>
    startStage(async () => {
      const redis = await startRedisServer('--appendonly', 'yes')
      way = await startSlowWay(redis.port)
      const stop = async (): Promise<void> => {
        way.stop()
        await redis.stop()
      }
      return { redis, url: way.url, stop }
    }),
  async run(_stage, traffic) {
    way.delay(slowMs)
    await pause(lastsMs / 2)
    way.cut()
    await pause(lastsMs / 2)
    await traffic.flows()
    way.delay(0)
    await traffic.flows()
  },
}
