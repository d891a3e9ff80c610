import { setTimeout as pause } from 'node:timers/promises'
import type { Fault } from '../fault.ts'

const downMs = 1_000

export const redisKill: Fault = {
  name: 'redis-kill',
  summary: 'Redis is killed (kill -9) and started again a second later, again and again',
  mostGapMs: () => downMs + 4_000,
  async run({ redis }, traffic, { times }) {
    for (let time = 0; time < times; time += 1) {
      await redis.kill()
      await pause(downMs)
      await redis.start()
      await traffic.flows()
    }
  },
}
