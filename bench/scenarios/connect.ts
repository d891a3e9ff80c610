import { startMosquitto } from '../brokers/mosquitto.ts'
import { startOurs } from '../brokers/ours.ts'
import { compare, withRatioPerCpu } from '../compare.ts'
import { generate } from '../generator.ts'
import type { Scenario } from '../scenario.ts'

/** Connections that are being opened at a time. */
const inFlight = 20

export const connect: Scenario = {
  name: 'connect',
  summary: 'CONNECT with password, CONNACK, DISCONNECT, 20 at a time, one replica on Redis',
  unit: 'connects/s',
  against: 'mosquitto',
  goal: { figure: 'ratio', atLeast: 1 },
  async run(bench) {
    const { seconds } = bench.options
    const sides = { ours: await startOurs(bench), peer: await startMosquitto(bench, { login: true }) }
    const figures = await compare(bench, sides, async (target) => {
      const times = { dur: seconds, warm: seconds > 1 ? 2 : 1 }
      const { printed, cpu } = await generate(bench, target, 'conn', { conc: inFlight, ...times })
      return {
        value: printed['conn_s'] ?? 0,
        cpu,
        delivered: printed['conns'] ?? 0,
        p99_ms: (printed['p99us'] ?? 0) / 1000,
      }
    })
    return withRatioPerCpu(figures)
  },
}
