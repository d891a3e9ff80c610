import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { startProbeServer } from '#core/process/probe-server.ts'
import type { ProgramContext } from '#core/process/program.ts'
import { programRegistry } from '#core/metrics/program-registry.ts'
import type { SettingsOf } from '#core/process/settings.ts'
import { openSealingKeys } from '#core/sealing/sealing-key-file.ts'
import { RedisApiKeyUses } from '#core/stores/redis-api-key-uses.ts'
import { startRedisClock } from '#core/stores/redis-clock.ts'
import { redisTls } from '#core/redis/redis-tls.ts'
import { closeRedis, connectRedis, eachNode } from '#core/stores/redis-connection.ts'
import { RedisFormerPasswordMarks } from '#core/stores/redis-former-password-marks.ts'
import { RedisPurgeMarks } from '#core/stores/redis-purge-marks.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { createRedisMetrics } from '#core/stores/redis-metrics.ts'
import { ClusterCache } from './kubernetes/cluster-cache.ts'
import { checkCrdVersions } from './kubernetes/crd-versions.ts'
import { KubernetesHost } from './kubernetes/kubernetes-host.ts'
import { showResources } from './kubernetes/resource-metrics.ts'
import { fencedStore } from './kubernetes/fenced-store.ts'
import { Leadership } from './kubernetes/leadership.ts'
import { createRecordMetrics } from './kubernetes/record-metrics.ts'
import { usualLimits } from './reconcilers/sweep-brake.ts'
import { findClusterAccess } from '../kubernetes/cluster-access.ts'
import { EventRecorder } from './runtime/events.ts'
import { KubernetesApi, noAnswer } from './runtime/kubernetes-api.ts'
import { LeaderElector, type Leadership as Election } from './runtime/leader-election.ts'
import { createRuntimeMetrics } from './runtime/metrics.ts'
import type { KubernetesObject } from './runtime/objects.ts'
import { systemTime } from './runtime/time.ts'
import type { operatorSettings } from './settings.ts'

export type OperatorSettings = SettingsOf<typeof operatorSettings>

const time = systemTime
const random = Math.random
const drainMs = 15_000
/** A watch is opened anew after ten minutes at the latest. */
const longestSilenceMs = 605_000

/**
 * Composes the operator and starts it. Redis and the API server are waited for, for as long as it takes, and readiness
 * says so meanwhile. Rejects with `crds-outdated`.
 */
export async function runOperator({
  settings,
  log,
  shutdown,
}: ProgramContext<OperatorSettings>): Promise<void> {
  const registry = programRegistry('operator')
  const redisMetrics = createRedisMetrics(registry)
  const metrics = createRuntimeMetrics({ registry, prefix: 'cloudsignal_operator' })
  const recordMetrics = createRecordMetrics(registry)
  const redis = connectRedis(settings.redisUrl, 'operator', log, redisTls(settings))
  let leadership: Leadership | undefined
  // Another Redis may be the master now, and lack what was written last.
  eachNode(redis, (node) => node.on('ready', () => leadership?.lookAgain()))
  shutdown.add('Redis', () => closeRedis(redis))
  redisMetrics.watch('operator', redis)
  const keys = redisKeys(settings.keyPrefix)
  const clock = startRedisClock(redis, keys, redisMetrics.probe)
  shutdown.add('clock', clock.close)

  const access = await findClusterAccess({
    environment: process.env,
    time,
    ...(settings.kubeconfig === '' ? {} : { kubeconfig: settings.kubeconfig }),
  })
  const api = new KubernetesApi({
    access,
    time,
    userAgent: 'cloudsignal-operator',
    observe: (observation) => {
      metrics.observeRequest(observation)
      cache.answered(observation.code !== noAnswer)
    },
  })
  shutdown.add('API server', () => api.close())
  const cache = new ClusterCache({
    api,
    time,
    random,
    log,
    metrics: metrics.reflector,
    ...(settings.namespaces.length === 0 ? {} : { namespaces: settings.namespaces }),
  })
  showResources(registry, cache)

  const probes = await startProbeServer({
    host: settings.probeHost,
    port: settings.probePort,
    registry,
    readiness: {
      program: () => (shutdown.signal.aborted ? 'is shutting down' : undefined),
      redis: () => (clock.reachable() ? undefined : 'does not answer'),
      'API server': () => silenceOf(cache),
    },
  })
  shutdown.add('probes', () => probes.close())
  log.info({ port: probes.port }, 'probes are served')

  await checkCrdVersions({ api, time, log, signal: shutdown.signal })
  const watching = new AbortController()
  const watched = cache.run(watching.signal)
  shutdown.add('watches', () => {
    watching.abort()
    return watched
  })

  const identity = settings.identity === '' ? hostname() : settings.identity
  const events = new EventRecorder({
    api,
    reportingController: 'cloudsignal.app/operator',
    reportingInstance: identity,
    time,
    log,
  })
  shutdown.add('events', () => events.flush())
  const host = new KubernetesHost({ api, cache, events, mayWrite: () => elector.isLeader() })
  const { keys: sealing, close: leaveSealingKeys } = await openSealingKeys(settings.sealingKeysFile, {
    log,
    // What was sealed under another key is sealed anew.
    onChange: () => leadership?.lookAgain(),
  })
  shutdown.add('sealing keys', async () => leaveSealingKeys())
  const createLeadership: ElectorParts['createLeadership'] = (election, lease) => {
    const { store, takeOver } = fencedStore(redis, keys, election)
    leadership = new Leadership({
      cache,
      host,
      store,
      takeOver,
      keyUses: new RedisApiKeyUses(redis, keys),
      metrics,
      sweep: {
        lease,
        record: (regarding, note) => events.record(regarding, note),
        metrics: recordMetrics,
      },
      sweepLimits: { ...usualLimits, share: settings.sweepPercent / 100 },
      longestHoldMs: settings.finalizerSeconds * 1000,
      upkeepMs: settings.upkeepSeconds * 1000,
      time,
      random,
      log,
      concurrency: settings.concurrency,
      installation: settings.installation,
      sealing,
      formerPasswords: new RedisFormerPasswordMarks(redis, keys),
      purges: new RedisPurgeMarks(redis, keys),
      endpoints: {
        host: settings.mqttHost,
        mqttsPort: settings.mqttsPort,
        wssPort: settings.wssPort,
        wssUrl: settings.wssUrl,
      },
    })
    return leadership
  }
  // Who has never led says so too: an alert that nobody leads needs somebody who says it.
  metrics.election.leading(settings.leaseName, false)
  const elector = createElector(settings, {
    api,
    log,
    metrics: metrics.election,
    namespace: settings.leaseNamespace || (access.namespace ?? 'default'),
    identity: `${identity}_${randomUUID()}`,
    createLeadership,
  })
  const led = leadAgainAndAgain(elector, shutdown.signal)
  shutdown.add('leadership', () => led)
  log.info({ server: access.server, identity }, 'the operator runs')
}

interface ElectorParts {
  readonly api: KubernetesApi
  readonly log: ProgramContext<OperatorSettings>['log']
  readonly metrics: { leading(name: string, isLeader: boolean): void }
  readonly namespace: string
  readonly identity: string
  readonly createLeadership: (
    election: Pick<Election, 'term' | 'raiseTerm'>,
    lease: () => KubernetesObject | undefined,
  ) => Leadership
}

function createElector(
  { leaseName, leaseSeconds }: OperatorSettings,
  { createLeadership, ...parts }: ElectorParts,
): LeaderElector {
  let leadership: Leadership | undefined
  const elector = new LeaderElector({
    ...parts,
    name: leaseName,
    time,
    random,
    leaseDurationMs: leaseSeconds * 1000,
    renewDeadlineMs: (leaseSeconds * 1000 * 2) / 3,
    retryPeriodMs: (leaseSeconds * 1000 * 2) / 15,
    onStartedLeading: (election) => {
      leadership = createLeadership(election, () => elector.lease())
      void leadership.start(election.signal)
    },
    onStoppedLeading: () => leadership?.stop(drainMs),
  })
  return elector
}

/** Leadership that was lost is no reason to end: this replica stands by again. */
async function leadAgainAndAgain(elector: LeaderElector, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) await elector.run(signal)
}

function silenceOf(cache: ClusterCache): string | undefined {
  const missing = cache.missing()
  if (missing.length > 0) return `has not shown ${missing.join(', ')} yet`
  const contact = cache.lastContact()
  const isSilent = contact === undefined || time.monotonic() - contact > longestSilenceMs
  return isSilent ? 'has been silent for more than ten minutes' : undefined
}
