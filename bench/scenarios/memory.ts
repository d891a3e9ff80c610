import { setTimeout as pause } from 'node:timers/promises'
import { startOurs } from '../brokers/ours.ts'
import { startStockAedes } from '../brokers/stock-aedes.ts'
import type { Target } from '../brokers/target.ts'
import { compare, type Measurement } from '../compare.ts'
import { startGenerator } from '../generator.ts'
import { residentBytesOf, startUsage } from '../process-usage.ts'
import type { Scenario } from '../scenario.ts'
import type { Workbench } from '../workbench.ts'

const connections = 5000
/** Until what the connecting left behind is collected, as far as it ever is. */
const settleMs = 3000

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
        return await measure(bench, target)
      } finally {
        await target.stop()
      }
    })
  },
}

async function measure(bench: Workbench, target: Target): Promise<Measurement> {
  const { broker = 0 } = target.processes
  await pause(settleMs)
  const before = await residentBytesOf(broker)
  const usage = await startUsage(target.processes)
  const options = { n: connections, fan: 0, hold: 60 }
  const generator = await startGenerator(bench, target, 'idle', options)
  const [, ready] = await generator.wrote(/^\{"ready":(\d+),"errs":0,/m, 60_000)
  await pause(settleMs)
  const cpu = await usage()
  const after = await residentBytesOf(broker)
  await generator.stop()
  return { value: (after - before) / 1024 / Number(ready), cpu, delivered: Number(ready) }
}
