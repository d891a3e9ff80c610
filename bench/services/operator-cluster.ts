import { setTimeout as pause } from 'node:timers/promises'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { resourceTypeOf, secretType } from '../../operator/kubernetes/resource-types.ts'
import type { KubernetesApi } from '../../operator/runtime/kubernetes-api.ts'
import type { KubernetesObject } from '../../operator/runtime/objects.ts'
import { connectToApi } from '../../test/fixtures/kubernetes-api.ts'
import type { AuditedRequest, AuditLog } from '../../test/fixtures/kubernetes-audit.ts'
import type { OperatorCluster } from '../../test/fixtures/operator-cluster.ts'
import { type BenchRedis, startRedis } from '../brokers/redis.ts'
import { inParallel } from '../in-parallel.ts'
import { startUsage } from '../process-usage.ts'
import type { CpuShares } from '../scenario.ts'
import type { Workbench } from '../workbench.ts'
import { type BenchOperator, OperatorStarter } from './operator-process.ts'
import { until } from './until.ts'

export const organization = 'org_k7xm4pqr2n5t'
const namespace = 'default'
const apiVersion = 'cloudsignal.app/v1alpha1'
const organizationRef = { name: 'acme' }
const rules = [
  { effect: 'allow', actions: ['publish', 'subscribe'], topics: ['devices/{username}/#'] },
  { effect: 'deny', actions: ['publish'], topics: ['devices/{username}/inbox/#'] },
]
const usersType = resourceTypeOf('MqttUser')
/** Requests of the bench that are on their way at the same time. */
const atOnce = 20

interface UserObject extends KubernetesObject {
  readonly spec: object
  readonly status?: { readonly conditions?: readonly { readonly status: string }[] }
}

interface RedisOfBench {
  readonly url: string
  stop(): Promise<void>
}

/** A real API server with the operator's rights of the chart, a Redis, and users in it. */
export class BenchCluster {
  readonly redisUrl: string
  readonly operators: OperatorStarter
  readonly #cluster: OperatorCluster<RedisOfBench>
  readonly #api: KubernetesApi
  readonly #audit: AuditLog

  private constructor(
    redisServer: BenchRedis,
    cluster: OperatorCluster<RedisOfBench>,
    api: KubernetesApi,
    operators: OperatorStarter,
  ) {
    if (cluster.plane.audit === undefined) throw new Error('the API server writes no audit log')
    this.redisUrl = redisServer.url
    this.operators = operators
    this.#cluster = cluster
    this.#api = api
    this.#audit = cluster.plane.audit
  }

  static async start(bench: Workbench): Promise<BenchCluster> {
    // It looks for its programs when it is loaded, which may have been made a moment ago.
    const { startOperatorCluster } = await import('../../test/fixtures/operator-cluster.ts')
    const redisServer = await startRedis(bench, bench.cores.all)
    const redis = async () => ({ url: redisServer.url, stop: () => redisServer.tool.stop() })
    const cluster = await startOperatorCluster(redis, { audited: true })
    await cluster.apply(
      {
        apiVersion,
        kind: 'Organization',
        metadata: { name: 'acme', namespace },
        spec: { shortId: organization.slice(4) },
      },
      {
        apiVersion,
        kind: 'AccessList',
        metadata: { name: 'devices', namespace },
        spec: { organizationRef, rules },
      },
    )
    const operators = await OperatorStarter.for(bench, cluster)
    const api = await connectToApi(cluster.plane.kubeconfigPath)
    return new BenchCluster(redisServer, cluster, api, operators)
  }

  /** A user without a password of its own, as most are. */
  async createUser(name: string): Promise<void> {
    const metadata = { name, namespace, labels: { 'app.kubernetes.io/part-of': 'bench' } }
    const spec = { organizationRef, accessListRefs: [{ name: 'devices' }] }
    await this.#api.create<UserObject>(usersType, { apiVersion, kind: 'MqttUser', metadata, spec })
  }

  async createUsers(count: number, prefix = 'user'): Promise<void> {
    await inParallel(atOnce, count, (index) => this.createUser(`${prefix}-${index}`))
  }

  /** What the operator has generated for a user. */
  async passwordOf(name: string): Promise<string> {
    const secret = await this.#api.get<KubernetesObject & { data: Record<string, string> }>(secretType, {
      namespace,
      name: `${name}-mqtt`,
    })
    return Buffer.from(secret.data['password'] ?? '', 'base64').toString()
  }

  /** Users whose record is in Redis. */
  records(): Promise<number> {
    return this.#cluster.redis.hlen(redisKeys().identity('user', organization))
  }

  async hasRecord(name: string): Promise<boolean> {
    return (await this.#cluster.redis.hexists(redisKeys().identity('user', organization), name)) === 1
  }

  /** Resolves with seconds, once all of so many records are there and the operator has said so. */
  async untilComplete(users: number, began = performance.now()): Promise<number> {
    await until(`${users} records are there`, async () => {
      return (await this.records()) >= users && (await this.#cluster.store.isReady())
    })
    return (performance.now() - began) / 1000
  }

  /** Resolves once the operator has asked for nothing for a second, but for its Lease. */
  async untilQuiet(): Promise<void> {
    await until('the operator has nothing left to do', async () => {
      const requests = await this.requests()
      await pause(1000)
      return (await requests()).every(isOfLease)
    })
  }

  /** Resolves with what was asked from now until the answer is called. */
  async requests(): Promise<() => Promise<readonly AuditedRequest[]>> {
    const mark = await this.#audit.mark()
    return () => this.#audit.since(mark)
  }

  async flushRedis(): Promise<void> {
    await this.#cluster.redis.flushall()
  }

  /** Fails unless so many users are Ready. */
  async checkReady(users: number): Promise<void> {
    let ready = 0
    for (let next: string | undefined, isFirst = true; isFirst || next !== undefined; isFirst = false) {
      const page = await this.#api.list<UserObject>(usersType, {
        limit: 500,
        ...(next === undefined ? {} : { continue: next }),
      })
      ready += page.items.filter(({ status }) => status?.conditions?.[0]?.status === 'True').length
      next = page.continue
    }
    if (ready !== users) throw new Error(`${ready} of ${users} users are Ready`)
  }

  /** Who holds the Lease, as CLOUDSIGNAL_OPERATOR_IDENTITY says it. */
  async leader(): Promise<string> {
    const { namespace } = this.#cluster.account
    const name = this.#cluster.settings['CLOUDSIGNAL_OPERATOR_LEASE_NAME'] ?? ''
    const type = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', namespaced: true }
    const lease = await this.#api.get<KubernetesObject & { spec: { holderIdentity?: string } }>(type, {
      namespace,
      name,
    })
    return lease.spec.holderIdentity?.split('_')[0] ?? ''
  }

  async stop(): Promise<void> {
    this.#api.close()
    await this.#cluster.stop()
  }
}

/** How users came to be, until their records were there. */
interface Creation {
  readonly perSecond: number
  readonly cpu: CpuShares
}

/** With an operator that has made `users` users ready, and has nothing left to do. */
export async function withUsers<T>(
  bench: Workbench,
  use: (cluster: BenchCluster, operator: BenchOperator, creation: Creation) => Promise<T>,
): Promise<T> {
  const { users, say } = bench.options
  const cluster = await BenchCluster.start(bench)
  try {
    const operator = await cluster.operators.start()
    await cluster.untilComplete(0)
    const usage = await startUsage({ operator: operator.tool.pid })
    const began = performance.now()
    await cluster.createUsers(users)
    const seconds = await cluster.untilComplete(users, began)
    const creation = { perSecond: users / seconds, cpu: await usage() }
    await cluster.untilQuiet()
    await cluster.checkReady(users)
    say(`  ${users} users were made in ${seconds.toFixed(1)} s; the operator runs ${operator.mode}`)
    return await use(cluster, operator, creation)
  } finally {
    await cluster.stop()
  }
}

export function isOfLease({ resource }: AuditedRequest): boolean {
  return resource === 'leases'
}

const reads = ['get', 'list', 'watch']

/** But for renewals of the Lease. */
export function writesOf(requests: readonly AuditedRequest[]): readonly AuditedRequest[] {
  return requests.filter((request) => !reads.includes(request.verb) && !isOfLease(request))
}
