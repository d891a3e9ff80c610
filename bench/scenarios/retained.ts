import { startMosquitto } from '../brokers/mosquitto.ts'
import { startOurs } from '../brokers/ours.ts'
import { compare } from '../compare.ts'
import { finish, generate, startGenerator } from '../generator.ts'
import type { Scenario } from '../scenario.ts'

const topics = 100_000
const hits = 10
const filter = 'bench/a/+/b'
export const retained: Scenario = {
  name: 'retained',
  summary: `SUBSCRIBE ${filter} over ${topics} retained messages until its ${hits} are there, median`,
  unit: 'ms',
  against: 'mosquitto',
  goal: { figure: 'ratio', atMost: 5 },
  async run(bench) {
    const sides = { ours: await startOurs(bench), peer: await startMosquitto(bench, { noDelay: true }) }
    for (const [side, target] of Object.entries(sides)) {
      bench.options.say(`  storing ${topics} retained messages at ${side}`)
      for (const [pt, n] of [
        ['bench/a/%d/b', hits],
        ['bench/r/%d/b', topics - hits],
      ] as const) {
        await finish(await startGenerator(bench, target, 'retpub', { pt, n, size: 64 }))
      }
    }
    return compare(bench, sides, async (target) => {
      const options = { sf: filter, sqos: 0, hits, dur: bench.options.seconds, warm: 1 }
      const { printed, cpu } = await generate(bench, target, 'retloop', options)
      return {
        value: (printed['p50us'] ?? 0) / 1000,
        cpu,
        delivered: printed['recvd'] ?? 0,
        p99_ms: (printed['p99us'] ?? 0) / 1000,
      }
    })
  },
}
