import { startOurs } from '../brokers/ours.ts'
import { startStockAedes } from '../brokers/stock-aedes.ts'
import type { Scenario } from '../scenario.ts'
import { compareThroughput, oneToOne } from '../throughput.ts'

export const crossQos1: Scenario = {
  name: 'cross-qos1',
  summary: 'QoS 1, published at one replica and received at another, ten to ten, 256 bytes',
  unit: 'messages/s',
  against: 'stock aedes',
  goal: { figure: 'ratio', atLeast: 6 },
  async run(bench) {
    const ours = await startOurs(bench, { replicas: 2 })
    const peer = await startStockAedes(bench, { replicas: 2 })
    return compareThroughput(bench, { ours, peer }, { ...oneToOne, qos: 1 })
  },
}
