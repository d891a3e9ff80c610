import { setTimeout as pause } from 'node:timers/promises'
import type { Fault } from '../fault.ts'

const hangMs = 5_000

export const redisHang: Fault = {
  name: 'redis-hang',
  summary: 'Redis answers nothing for five seconds',
  mostGapMs: () => hangMs + 3_000,
  async run({ redis }, traffic) {
    redis.suspend()
    await pause(hangMs)
    redis.resume()
    await traffic.flows()
  },
}
