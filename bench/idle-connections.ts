import { setTimeout as pause } from 'node:timers/promises'
import type { Target } from './brokers/target.ts'
import { startGenerator } from './generator.ts'
import { cpuSecondsOf, residentBytesOf, startUsage } from './process-usage.ts'
import type { CpuShares } from './scenario.ts'
import type { Workbench } from './workbench.ts'

/** Until what the connecting left behind is collected, as far as it ever is. */
const settleMs = 3000

/** What connections cost that sign in and do nothing more, each. */
export interface IdleConnections {
  readonly count: number
  readonly kilobytes: number
  /** Resident before the first of them. */
  readonly megabytesBefore: number
  /** Of the broker, for signing in. */
  readonly cpuMs: number
  readonly cpu: CpuShares
}

export async function measureIdle(
  bench: Workbench,
  target: Target,
  connections: number,
): Promise<IdleConnections> {
  const { broker = 0 } = target.processes
  await pause(settleMs)
  const before = await residentBytesOf(broker)
  const usage = await startUsage(target.processes)
  const cpuBefore = await cpuSecondsOf(broker)
  const generator = await startGenerator(bench, target, 'idle', { n: connections, fan: 0, hold: 60 })
  const [, ready] = await generator.wrote(/^\{"ready":(\d+),"errs":0,/m, 180_000)
  const count = Number(ready)
  const cpuMs = (((await cpuSecondsOf(broker)) - cpuBefore) * 1000) / count
  await pause(settleMs)
  const cpu = await usage()
  const kilobytes = ((await residentBytesOf(broker)) - before) / 1024 / count
  await generator.stop()
  return { count, kilobytes, megabytesBefore: Math.round(before / 1e6), cpuMs, cpu }
}
