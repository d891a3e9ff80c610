import { setTimeout as pause } from 'node:timers/promises'
import { rounded } from '../compare.ts'
import { peakResidentBytesOf, residentBytesOf, startUsage } from '../process-usage.ts'
import type { Scenario } from '../scenario.ts'
import { isOfLease, withUsers, writesOf } from '../services/operator-cluster.ts'

/** Times `--seconds`: how long it is watched while nothing happens. */
const idleTimes = 5

export const reconcileMemory: Scenario = {
  name: 'reconcile-memory',
  summary:
    'resident memory of the operator with all users in its caches, and what it does while nothing happens',
  unit: 'MB',
  against: '-',
  goal: [
    { figure: 'rss_mb', atMost: 200 },
    { figure: 'api_writes', atMost: 0 },
  ],
  needs: 'control plane',
  async run(bench) {
    return withUsers(bench, async (cluster, first) => {
      const { users, seconds } = bench.options
      const afterCreation = await megabytes(residentBytesOf(first.tool.pid))
      await first.tool.stop('SIGTERM')
      const { tool, startedAt, mode } = await cluster.operators.start()
      await cluster.untilComplete(users, startedAt)
      await cluster.untilQuiet()
      const requests = await cluster.requests()
      const usage = await startUsage({ operator: tool.pid })
      await pause(seconds * idleTimes * 1000)
      const cpu = await usage()
      const asked = await requests()
      const perHour = (count: number): number => Math.round((count * 3600) / (seconds * idleTimes))
      return {
        rss_mb: await megabytes(residentBytesOf(tool.pid)),
        api_writes: writesOf(asked).length,
        api_requests_per_hour: perHour(asked.length),
        cpu: { ours: cpu },
        note:
          `${users} users, ${mode}; at most ${await megabytes(peakResidentBytesOf(tool.pid))} MB while it started, ` +
          `${afterCreation} MB in the process that saw them made; idle ${rounded((cpu['operator'] ?? 0) * 1000)} ` +
          `millicores, of its requests ${perHour(asked.filter(isOfLease).length)} an hour are for its Lease`,
      }
    })
  },
}

async function megabytes(bytes: Promise<number>): Promise<number> {
  return Math.round((await bytes) / 1e6)
}
