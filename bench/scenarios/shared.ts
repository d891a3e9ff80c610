import { startMosquitto } from '../brokers/mosquitto.ts'
import { startOurs } from '../brokers/ours.ts'
import type { Scenario } from '../scenario.ts'
import { compareThroughput, oneToOne } from '../throughput.ts'

export const shared: Scenario = {
  name: 'shared',
  summary:
    'QoS 1, ten publishers and one shared subscription of ten members, 256 bytes, one replica on Redis',
  unit: 'messages/s',
  against: 'mosquitto',
  // Ours has each message in Redis until it is acknowledged, mosquitto in its memory: none of the figures to reach.
  goal: { figure: 'ratio', atLeast: 0.5 },
  async run(bench) {
    const sides = { ours: await startOurs(bench), peer: await startMosquitto(bench) }
    return compareThroughput(bench, sides, { ...oneToOne, qos: 1, isShared: true })
  },
}
