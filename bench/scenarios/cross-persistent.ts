import { startOurs } from '../brokers/ours.ts'
import { startStockAedes } from '../brokers/stock-aedes.ts'
import type { Scenario } from '../scenario.ts'
import { compareThroughput, oneToOne } from '../throughput.ts'

export const crossPersistent: Scenario = {
  name: 'cross-persistent',
  summary: 'QoS 1 to connected persistent sessions at another replica, acknowledged once stored, 256 bytes',
  unit: 'messages/s',
  against: 'stock aedes',
  goal: { figure: 'ratio', atLeast: 3 },
  async run(bench) {
    const ours = await startOurs(bench, { replicas: 2 })
    const peer = await startStockAedes(bench, { replicas: 2 })
    return compareThroughput(bench, { ours, peer }, { ...oneToOne, qos: 1, sclean: 0 })
  },
}
