import { setTimeout as pause } from 'node:timers/promises'
import { benchCertificate } from '../brokers/bench-certificate.ts'
import { startReplica } from '../brokers/ours.ts'
import { quantile, rounded } from '../compare.ts'
import type { Scenario } from '../scenario.ts'
import { accepted, login } from '../services/login.ts'
import { type BenchCluster, organization, withUsers } from '../services/operator-cluster.ts'
import { until } from '../services/until.ts'

/** In a round, one after the other. */
const idleCreates = 40
const steadyPerSecond = 100

export const reconcileCreate: Scenario = {
  name: 'reconcile-create',
  summary:
    'users made as fast as the API server takes them until every record is there; and one at a time, until it has signed in',
  unit: 'creates/s',
  against: '-',
  goal: [
    { figure: 'p99_ms', atMost: 250 },
    { figure: 'ours', atLeast: 100 },
  ],
  needs: 'control plane',
  async run(bench) {
    return withUsers(bench, async (cluster, { mode }, creation) => {
      const { rounds, seconds, users } = bench.options
      const { all } = bench.cores
      const broker = await startReplica(bench, all, cluster.redisUrl, await benchCertificate(bench))
      const idle: number[] = []
      for (let index = 0; index < rounds * idleCreates; index += 1) {
        idle.push(await untilSignedIn(cluster, broker.ports.mqtt, `idle-${index}`))
        await pause(50)
      }
      const steady = await createSteadily(cluster, seconds)
      return {
        ours: rounded(creation.perSecond),
        p99_ms: rounded(quantile(idle, 0.99)),
        cpu: { ours: creation.cpu },
        delivered: { ours: users },
        note:
          `beside ${users} users, ${mode}; one at a time: median ${rounded(quantile(idle, 0.5))} ms ` +
          `until signed in; ${steadyPerSecond} a second: record after median ${rounded(quantile(steady, 0.5))} ms, ` +
          `p99 ${rounded(quantile(steady, 0.99))} ms`,
      }
    })
  },
}

/** Milliseconds from the call that makes a user until it has signed in by the password of its Secret. */
async function untilSignedIn(cluster: BenchCluster, port: number, name: string): Promise<number> {
  const began = performance.now()
  await cluster.createUser(name)
  await until(`the record of ${name} is there`, () => cluster.hasRecord(name), 60_000)
  const code = await login(port, `${name}@${organization}`, await cluster.passwordOf(name))
  if (code !== accepted) throw new Error(`${name} is answered with reason code ${code}`)
  return performance.now() - began
}

/** Milliseconds of each from when its creation was due until its record is there. */
async function createSteadily(cluster: BenchCluster, seconds: number): Promise<number[]> {
  const began = performance.now()
  const count = seconds * steadyPerSecond
  const creations = Array.from({ length: count }, async (_, index) => {
    const dueAt = began + (index * 1000) / steadyPerSecond
    await pause(dueAt - began)
    const name = `steady-${index}`
    await cluster.createUser(name)
    await until(`the record of ${name} is there`, () => cluster.hasRecord(name), 60_000)
    return performance.now() - dueAt
  })
  return await Promise.all(creations)
}
