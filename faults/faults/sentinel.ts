import { eventually } from '../../test/fixtures/eventually.ts'
import { startRedisSentinels } from '../../test/fixtures/redis-sentinel.ts'
import type { Fault } from '../fault.ts'
import { startStage } from '../stage.ts'

export const sentinel: Fault = {
  name: 'sentinel',
  summary:
    'the master of Redis dies, Sentinels choose another, and it comes back as a replica; `durability: replicated`',
  mostGapMs: () => 10_000,
  stage: () =>
    startStage(async () => {
      const place = await startRedisSentinels()
      return {
        redis: { ...place.master, kill: () => failOver(place) },
        url: place.url,
        organization: { durability: 'replicated' },
        stop: place.stop,
      }
    }),
  async run({ redis }, traffic) {
    await redis.kill()
    await traffic.flows()
  },
}

/** Nothing is acknowledged until it is replicated: there has to be a replica again. */
async function failOver(place: Awaited<ReturnType<typeof startRedisSentinels>>): Promise<void> {
  await place.master.kill()
  await eventually(
    'there is another master',
    async () => (await place.masterPort()) === place.replica.port,
    30_000,
  )
  await place.master.start()
}
