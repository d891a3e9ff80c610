import { median, rounded } from '../compare.ts'
import { cpuSecondsOf, residentBytesOf, share } from '../process-usage.ts'
import type { Scenario } from '../scenario.ts'
import { type BenchCluster, isOfLease, withUsers, writesOf } from '../services/operator-cluster.ts'
import type { Workbench } from '../workbench.ts'

export const reconcileCold: Scenario = {
  name: 'reconcile-cold',
  summary:
    'start of the operator on an empty Redis until every record is there, where every status is right already',
  unit: 'users/s',
  against: '-',
  goal: [
    { figure: 'seconds', atMost: 30 },
    { figure: 'api_writes', atMost: 0 },
  ],
  needs: 'control plane',
  async run(bench) {
    return withUsers(bench, async (cluster, first) => {
      await first.tool.stop('SIGTERM')
      const starts: Start[] = []
      for (let round = 1; round <= bench.options.rounds; round += 1) {
        starts.push(await measure(bench, cluster))
        bench.options.say(`  round ${round}: ${JSON.stringify(starts.at(-1))}`)
      }
      const kept = await requestsOfRestart(cluster)
      const seconds = median(starts.map((start) => start.seconds))
      return {
        ours: rounded(bench.options.users / seconds),
        seconds: rounded(seconds),
        rss_mb: Math.max(...starts.map(({ rss_mb }) => rss_mb)),
        api_writes: starts.reduce((sum, { writes }) => sum + writes, 0),
        cpu: { ours: { operator: median(starts.map(({ cpu }) => cpu)) } },
        rounds: { ours: starts.map((start) => rounded(start.seconds)) },
        delivered: { ours: bench.options.users * starts.length },
        note:
          `${bench.options.users} users, ${first.mode}; ${starts[0]?.reads} API reads in a start; ` +
          `with Redis as it was ${kept.reads}, and ${kept.writes} writes`,
      }
    })
  },
}

/** Of a start that finds every record as it left it. */
async function requestsOfRestart(
  cluster: BenchCluster,
): Promise<{ readonly reads: number; readonly writes: number }> {
  const requests = await cluster.requests()
  const operator = await cluster.operators.start()
  await operator.untilReady()
  await cluster.untilQuiet()
  const asked = (await requests()).filter((request) => !isOfLease(request))
  await operator.tool.stop('SIGTERM')
  const writes = writesOf(asked).length
  return { writes, reads: asked.length - writes }
}

interface Start {
  readonly seconds: number
  readonly writes: number
  readonly reads: number
  /** Share of one core. */
  readonly cpu: number
  readonly rss_mb: number
}

async function measure(bench: Workbench, cluster: BenchCluster): Promise<Start> {
  await cluster.flushRedis()
  const requests = await cluster.requests()
  const { tool, startedAt } = await cluster.operators.start()
  const seconds = await cluster.untilComplete(bench.options.users, startedAt)
  const cpu = share((await cpuSecondsOf(tool.pid)) / seconds)
  await cluster.untilQuiet()
  const asked = await requests()
  const rss_mb = Math.round((await residentBytesOf(tool.pid)) / 1e6)
  await tool.stop('SIGTERM')
  const writes = writesOf(asked).length
  const reads = asked.filter((request) => !isOfLease(request)).length - writes
  return { seconds: rounded(seconds), writes, reads, cpu, rss_mb }
}
