import { startOurs } from '../brokers/ours.ts'
import { startStockAedes } from '../brokers/stock-aedes.ts'
import { compare } from '../compare.ts'
import { measureIdle } from '../idle-connections.ts'
import type { Scenario } from '../scenario.ts'

const connections = 5000

export const memory: Scenario = {
  name: 'memory',
  summary: `resident memory of the broker per idle connection without TLS, ${connections} of them, one replica`,
  unit: 'KB/connection',
  against: 'stock aedes',
  goal: { figure: 'ratio', atMost: 0.5 },
  async run(bench) {
    // Memory that was used once is not given back: each measurement takes a fresh broker.
    const sides = { ours: () => startOurs(bench), peer: () => startStockAedes(bench) }
    return compare(bench, sides, async (start) => {
      const target = await start()
      try {
        const { kilobytes, cpu, count } = await measureIdle(bench, target, connections)
        return { value: kilobytes, cpu, delivered: count }
      } finally {
        await target.stop()
      }
    })
  },
}
