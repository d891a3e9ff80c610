import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { emptyPolicy } from '#core/access/access-policy.ts'
import type { AccessRule } from '#core/access/access-rule.ts'
import { silentLog } from '#core/process/logger.ts'
import { closeRedis, connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { brokerEnvironment } from '../../test/fixtures/broker-process.ts'
import type { TestCertificate } from '../../test/fixtures/certificates.ts'
import { anOrganization, anOrganizationId, aUser } from '../../test/fixtures/records.ts'
import type { Tool, Workbench } from '../workbench.ts'
import { benchCertificate } from './bench-certificate.ts'
import { password, users } from './bench-users.ts'
import { startRedis } from './redis.ts'
import type { Target } from './target.ts'

/** Its program, whatever the directory that the bench is called from. */
const program = join(import.meta.dirname, '../../broker/main.ts')

export interface OursOptions {
  readonly replicas?: 1 | 2
  /** Clients come over TLS with it. */
  readonly certificate?: TestCertificate
  /** Instead of those that every scenario has; all users are judged by them. */
  readonly rules?: readonly AccessRule[]
}

/** Our broker as it runs in a pod, on Redis; users with an access list, limits set and metrics on. */
export async function startOurs(bench: Workbench, options: OursOptions = {}): Promise<Target> {
  const { first, second, besideOne, besideTwo } = bench.cores
  const beside = options.replicas === 2 ? besideTwo : besideOne
  const redis = await startRedis(bench, beside)
  await writeRecords(redis.url, options.rules)
  const certificate = options.certificate ?? (await benchCertificate(bench))
  const start = (cores: readonly number[]): Promise<Replica> =>
    startReplica(bench, cores, redis.url, certificate)
  const a = await start(first)
  const b = options.replicas === 2 ? await start(second) : undefined
  const portOf = ({ ports }: Replica): number =>
    options.certificate === undefined ? ports.mqtt : ports.mqtts
  const brokers = { broker: a.tool.pid, ...(b === undefined ? {} : { 'second broker': b.tool.pid }) }
  return {
    publish: portOf(a),
    subscribe: portOf(b ?? a),
    login: { user: `bench_%d@${anOrganizationId}`, password, users },
    tls: options.certificate !== undefined,
    processes: { ...brokers, redis: redis.tool.pid },
    redisUrl: redis.url,
    generator: beside,
    async stop() {
      // A profile is written by a process that ends by itself.
      const signal = bench.options.profile === undefined ? 'SIGKILL' : 'SIGTERM'
      await Promise.all([a.tool.stop(signal), b?.tool.stop(signal)])
      await redis.tool.stop()
    },
  }
}

export interface Replica {
  readonly tool: Tool
  readonly ports: { readonly mqtt: number; readonly mqtts: number }
}

/** A replica of it, on the records that are in Redis. */
export async function startReplica(
  bench: Workbench,
  cores: readonly number[],
  redisUrl: string,
  certificate: TestCertificate,
): Promise<Replica> {
  const { profile } = bench.options
  const profiled = profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profile]
  const environment = { ...brokerEnvironment(redisUrl, certificate), NODE_OPTIONS: imageOptions() }
  const tool = bench.start(cores, process.execPath, [...profiled, program], {
    ...environment,
    CLOUDSIGNAL_BROKER_MQTT_PORT: '0',
  })
  const [line] = await tool.wrote(/^\{.*"the broker is ready".*\}$/m)
  return { tool, ports: JSON.parse(line) as Replica['ports'] }
}

/** What the image gives Node. */
function imageOptions(): string {
  const dockerfile = readFileSync(join(import.meta.dirname, '../../Dockerfile'), 'utf8')
  return /^ENV NODE_OPTIONS=(.+)$/m.exec(dockerfile)?.[1] ?? ''
}

/** Enough rules that deciding is work: a variable, a deny, and a list beside the user's own rules. */
const listed: readonly AccessRule[] = [
  { effect: 'allow', actions: ['publish', 'subscribe'], topics: ['devices/{username}/#', 'bench/#'] },
  { effect: 'deny', actions: ['publish', 'subscribe'], topics: ['bench/private/#'] },
]
const own: readonly AccessRule[] = [{ effect: 'allow', actions: ['subscribe'], topics: ['announcements/+'] }]
/** Never reached, always counted. */
const limits = { connections: 100_000, messageRate: 100_000_000, byteRate: 100_000_000_000 }

async function writeRecords(url: string, rules?: readonly AccessRule[]): Promise<void> {
  const redis = connectRedis(url, 'bench', silentLog)
  await untilReady(redis, AbortSignal.timeout(10_000))
  const keys = redisKeys()
  const store = new RedisIdentityStore(redis, keys, new RedisControlLog(redis, keys))
  await store.put('organization', anOrganizationId, 'organization', anOrganization({ limits }))
  await store.put('access-list', anOrganizationId, 'bench', { rules: [...(rules ?? listed)] })
  for (let index = 0; index < users; index += 1) {
    const local = `bench_${index}`
    const access = { ...emptyPolicy, lists: ['bench'], rules: rules === undefined ? [...own] : [] }
    await store.put('user', anOrganizationId, local, aUser(local, password, { access, limits }))
  }
  await store.markReady()
  await closeRedis(redis)
}
