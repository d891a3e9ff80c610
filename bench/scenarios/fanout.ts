import { startMosquitto } from '../brokers/mosquitto.ts'
import { startOurs } from '../brokers/ours.ts'
import type { Scenario } from '../scenario.ts'
import { compareThroughput, oneToHundred } from '../throughput.ts'

export const fanout: Scenario = {
  name: 'fanout',
  summary: 'QoS 0, one publisher and a hundred subscribers, 256 bytes, one replica on Redis',
  unit: 'deliveries/s',
  against: 'mosquitto',
  goal: { figure: 'ratio', atLeast: 10 },
  async run(bench) {
    const sides = { ours: await startOurs(bench), peer: await startMosquitto(bench) }
    return compareThroughput(bench, sides, { ...oneToHundred, qos: 0 })
  },
}
