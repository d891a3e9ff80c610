import { median, rounded } from '../compare.ts'
import type { Scenario } from '../scenario.ts'
import { type BenchCluster, withUsers } from '../services/operator-cluster.ts'
import { until } from '../services/until.ts'
import type { BenchOperator } from '../services/operator-process.ts'

/** `kill -9` takes as long as the Lease, and what the standby waits between two looks at it. */
export const failover: Scenario = {
  name: 'failover',
  summary:
    'the leader of two operators is killed, or ended as a rollout does, until the other reconciles a new user',
  unit: 's',
  against: '-',
  goal: { figure: 'seconds', atMost: 20 },
  needs: 'control plane',
  async run(bench) {
    return withUsers(bench, async (cluster, first) => {
      const pair = new Pair(cluster, first)
      const found: Record<'SIGKILL' | 'SIGTERM', number[]> = { SIGKILL: [], SIGTERM: [] }
      for (let round = 1; round <= bench.options.rounds; round += 1) {
        for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
          const seconds = await pair.endLeader(signal, `after-${signal.toLowerCase()}-${round}`)
          bench.options.say(`  round ${round} ${signal}: ${rounded(seconds)} s`)
          found[signal].push(seconds)
        }
      }
      const worst = Math.max(...found.SIGKILL)
      return {
        ours: rounded(worst),
        seconds: rounded(worst),
        rounds: { ours: found.SIGKILL.map(rounded) },
        note:
          `${bench.options.users} users, a Lease of 15 s; the worst of SIGKILL counts, median ` +
          `${rounded(median(found.SIGKILL))} s; SIGTERM at most ${rounded(Math.max(...found.SIGTERM))} s, median ` +
          `${rounded(median(found.SIGTERM))} s`,
      }
    })
  },
}

/** Two operators; who is ended is replaced. */
class Pair {
  readonly #cluster: BenchCluster
  #operators: readonly BenchOperator[]

  constructor(cluster: BenchCluster, first: BenchOperator) {
    this.#cluster = cluster
    this.#operators = [first]
  }

  /** Resolves with the seconds from the signal until the other has made the record of a new user. */
  async endLeader(signal: 'SIGKILL' | 'SIGTERM', user: string): Promise<number> {
    const [leader, standby] = await this.#bothReady()
    const began = performance.now()
    await leader.tool.stop(signal)
    this.#operators = [standby]
    await this.#cluster.createUser(user)
    await until(`the record of ${user} is there`, () => this.#cluster.hasRecord(user), 120_000)
    return (performance.now() - began) / 1000
  }

  async #bothReady(): Promise<readonly [leader: BenchOperator, standby: BenchOperator]> {
    const [present = await this.#cluster.operators.start()] = this.#operators
    const other = await this.#cluster.operators.start()
    await Promise.all([present.untilReady(), other.untilReady()])
    let leader = ''
    await until('one of both leads', async () => {
      leader = await this.#cluster.leader()
      return [present, other].some(({ identity }) => identity === leader)
    })
    await this.#cluster.untilQuiet()
    return leader === present.identity ? [present, other] : [other, present]
  }
}
