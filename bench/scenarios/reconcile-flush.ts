import { setTimeout as pause } from 'node:timers/promises'
import { benchCertificate } from '../brokers/bench-certificate.ts'
import { startReplica } from '../brokers/ours.ts'
import { median, rounded } from '../compare.ts'
import { startUsage } from '../process-usage.ts'
import type { Scenario } from '../scenario.ts'
import { accepted, login, serverUnavailable } from '../services/login.ts'
import {
  type BenchCluster,
  isOfLease,
  organization,
  withUsers,
  writesOf,
} from '../services/operator-cluster.ts'
import { until } from '../services/until.ts'
import type { Workbench } from '../workbench.ts'

/** Between two attempts to sign in. */
const attemptMs = 20

export const reconcileFlush: Scenario = {
  name: 'reconcile-flush',
  summary:
    'FLUSHALL until every record is there again, while a broker may answer nothing but "server unavailable"',
  unit: 'users/s',
  against: '-',
  goal: [
    { figure: 'seconds', atMost: 5 },
    { figure: 'api_writes', atMost: 0 },
  ],
  needs: 'control plane',
  async run(bench) {
    return withUsers(bench, async (cluster, operator) => {
      const { all } = bench.cores
      const broker = await startReplica(bench, all, cluster.redisUrl, await benchCertificate(bench))
      const password = await cluster.passwordOf('user-0')
      const signIn = (): Promise<number> => login(broker.ports.mqtt, `user-0@${organization}`, password)
      const first = await signIn()
      if (first !== accepted) throw new Error(`the broker answers with reason code ${first}`)
      const flushes: Flush[] = []
      const { pid } = operator.tool
      for (let round = 1; round <= bench.options.rounds; round += 1) {
        flushes.push(await measure(bench, cluster, pid, signIn))
        bench.options.say(`  round ${round}: ${JSON.stringify(flushes.at(-1))}`)
      }
      const seconds = median(flushes.map((flush) => flush.seconds))
      const sum = (of: 'writes' | 'unavailable'): number =>
        flushes.reduce((total, flush) => total + flush[of], 0)
      return {
        ours: rounded(bench.options.users / seconds),
        seconds: rounded(seconds),
        api_writes: sum('writes'),
        cpu: { ours: { operator: median(flushes.map(({ cpu }) => cpu)) } },
        rounds: { ours: flushes.map((flush) => flush.seconds) },
        delivered: { ours: bench.options.users * flushes.length },
        note:
          `${bench.options.users} users, ${operator.mode}; ${sum('unavailable')} attempts to sign in were answered ` +
          `with "server unavailable" and none with anything worse, then one with success after ` +
          `${median(flushes.map((flush) => flush.signedInAfter))} s; ${flushes[0]?.reads} API reads`,
      }
    })
  },
}

interface Flush {
  readonly seconds: number
  readonly signedInAfter: number
  readonly unavailable: number
  readonly writes: number
  readonly reads: number
  /** Share of one core. */
  readonly cpu: number
}

async function measure(
  bench: Workbench,
  cluster: BenchCluster,
  pid: number,
  signIn: () => Promise<number>,
): Promise<Flush> {
  const requests = await cluster.requests()
  const usage = await startUsage({ operator: pid })
  await cluster.flushRedis()
  const began = performance.now()
  const [seconds, { unavailable, signedInAfter }] = await Promise.all([
    cluster.untilComplete(bench.options.users, began),
    untilSignedIn(signIn, began),
  ])
  const { operator: cpu = 0 } = await usage()
  await cluster.untilQuiet()
  const asked = (await requests()).filter((request) => !isOfLease(request))
  const writes = writesOf(asked).length
  return { seconds: rounded(seconds), signedInAfter, unavailable, writes, reads: asked.length - writes, cpu }
}

/** Fails when the broker ever says that the password were bad. */
async function untilSignedIn(
  signIn: () => Promise<number>,
  began: number,
): Promise<{ readonly unavailable: number; readonly signedInAfter: number }> {
  let unavailable = 0
  await until('the user can sign in again', async () => {
    const code = await signIn()
    if (code === accepted && unavailable > 0) return true
    if (code === serverUnavailable) unavailable += 1
    else if (code !== accepted) throw new Error(`after a flush the broker answers with reason code ${code}`)
    await pause(attemptMs)
    return false
  })
  return { unavailable, signedInAfter: rounded((performance.now() - began) / 1000) }
}
