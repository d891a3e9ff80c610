import { startMosquitto } from '../brokers/mosquitto.ts'
import { startOurs } from '../brokers/ours.ts'
import type { Scenario } from '../scenario.ts'
import { compareThroughput, oneToOne } from '../throughput.ts'

export const qos1: Scenario = {
  name: 'qos1',
  summary: 'QoS 1, ten publishers with a subscriber each, 256 bytes, one replica on Redis',
  unit: 'messages/s',
  against: 'mosquitto',
  goal: { figure: 'ratio', atLeast: 4 },
  async run(bench) {
    const sides = { ours: await startOurs(bench), peer: await startMosquitto(bench) }
    return compareThroughput(bench, sides, { ...oneToOne, qos: 1 })
  },
}
