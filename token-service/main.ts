import type { AddressInfo } from 'node:net'
import { openAudit } from '#core/audit/program-audit.ts'
import { systemClock } from '#core/clock.ts'
import { listenError, startProbeServer } from '#core/process/probe-server.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { Log } from '#core/process/logger.ts'
import { type ProgramContext, runProgram } from '#core/process/program.ts'
import { programRegistry } from '#core/metrics/program-registry.ts'
import { readGauge } from '#core/metrics/read-gauge.ts'
import { openSealingKeys } from '#core/sealing/sealing-key-file.ts'
import type { Shutdown } from '#core/process/shutdown.ts'
import { RedisApiKeyUses } from '#core/stores/redis-api-key-uses.ts'
import { CachedIdentityReader } from '#core/stores/cached-identity-reader.ts'
import { startRedisClock } from '#core/stores/redis-clock.ts'
import { redisTls } from '#core/redis/redis-tls.ts'
import { closeRedis, connectRedis } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisCredentialStore } from '#core/stores/redis-credential-store.ts'
import { RedisIdentityReader } from '#core/stores/redis-identity-reader.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { createRedisMetrics } from '#core/stores/redis-metrics.ts'
import { RedisMarks } from '#core/stores/redis-marks.ts'
import { RedisRateLimiter } from '#core/stores/redis-rate-limiter.ts'
import { RedisSessionDirectory } from '#core/stores/redis-session-directory.ts'
import { findClusterAccess } from '../kubernetes/cluster-access.ts'
import { type App, buildApp } from './app.ts'
import { finishRevocations } from './finish-revocations.ts'
import { type Settings, settings, shutdownMs } from './settings.ts'
import { ClusterClient } from './users/cluster-client.ts'
import { KubernetesUsers } from './users/kubernetes-users.ts'
import { guardedAsk, guardedFetch } from './verifier/guarded-fetch.ts'

await runProgram({
  name: 'token-service',
  summary: 'Exchanges identity tokens for temporary MQTT credentials, over HTTP.',
  settings,
  graceMs: shutdownMs,
  run,
})

/** Steps of the shutdown run from the last to the first: the API, the probes, Redis. */
async function run({ settings, log, shutdown }: ProgramContext<Settings>): Promise<void> {
  const registry = programRegistry('token-service')
  const redisMetrics = createRedisMetrics(registry)
  const sealing = await openSealingKeys(settings.sealingKeysFile, { log })
  shutdown.add('sealing keys', async () => sealing.close())
  const redis = connectRedis(settings.redisUrl, 'token-service', log, redisTls(settings))
  shutdown.add('redis', () => closeRedis(redis))
  redisMetrics.watch('token-service', redis)

  const keys = redisKeys(settings.keyPrefix)
  const clock = startRedisClock(redis, keys, redisMetrics.probe)
  shutdown.add('clock', clock.close)
  const { audit, auditTrail } = openAudit('token-service', {
    settings,
    redis,
    keys,
    now: clock.now,
    registry,
  })
  shutdown.add('audit', () => audit.close())

  const probes = await startProbeServer({
    host: settings.probeHost,
    port: settings.probePort,
    registry,
    readiness: {
      redis: () => (clock.reachable() ? undefined : 'Redis can not be reached'),
      shutdown: () => (shutdown.signal.aborted ? 'shutting down' : undefined),
    },
  })
  shutdown.add('probes', () => probes.close())

  const controlLog = new RedisControlLog(redis, keys)
  const identities = new CachedIdentityReader(new RedisIdentityReader(redis, keys), controlLog)
  shutdown.add('identities', () => identities.close())
  readGauge(
    registry,
    'cloudsignal_token_service_control_log_staleness_seconds',
    'Time since the control log was read to its end; while it is long, records are read from Redis each time',
    () => identities.staleness() / 1_000,
  )
  const credentials = new RedisCredentialStore(redis, keys, controlLog)
  const userResources = settings.usersApi ? await openUsers(settings, log, shutdown) : undefined
  const app = buildApp({
    ...(userResources === undefined ? {} : { userResources }),
    identities,
    credentials,
    control: controlLog,
    sessions: new RedisSessionDirectory(redis, keys),
    keyUses: new RedisApiKeyUses(redis, keys),
    marks: new RedisMarks(redis, keys),
    fetchDocument: guardedFetch({ allowPrivateIssuers: settings.allowPrivateIssuers }),
    askProvider: guardedAsk({ allowPrivateIssuers: settings.allowPrivateIssuers }),
    sealing: sealing.keys,
    now: systemClock,
    log,
    audit,
    auditTrail,
    registry,
    mostPerSubject: settings.mostPerSubject,
    limiter: new RedisRateLimiter(redis, keys),
    rates: {
      perKey: settings.keyPerMinute,
      perOrganization: settings.organizationPerMinute,
      perSubject: settings.subjectPerMinute,
      perAddress: settings.addressPerMinute,
      withoutKey: settings.withoutKeyPerMinute,
      perWebhook: settings.webhookPerMinute,
    },
    trustedProxies: settings.trustedProxies,
    endpoints: {
      ...(settings.mqttsUrl === '' ? {} : { mqtts: settings.mqttsUrl }),
      ...(settings.wssUrl === '' ? {} : { wss: settings.wssUrl }),
    },
  })
  const finish = (organization: OrganizationId): Promise<void> => credentials.finishRevocations(organization)
  void finishRevocations({ identities, finish, log, signal: shutdown.signal })
  // From the first moment on; while Redis is away the answer is 503.
  shutdown.add('http', () => app.close())
  const port = await listen(app, settings.httpPort, settings.httpHost)
  log.info({ port, probes: probes.port }, 'the token service is listening')
}

/** Nothing is asked of the API server before somebody asks for a user. */
async function openUsers({ kubeconfig }: Settings, log: Log, shutdown: Shutdown): Promise<KubernetesUsers> {
  const access = await findClusterAccess({
    environment: process.env,
    time: { monotonic: () => performance.now() },
    ...(kubeconfig === '' ? {} : { kubeconfig }),
  })
  const client = new ClusterClient(access)
  shutdown.add('API server', async () => client.close())
  return new KubernetesUsers(client, log)
}

async function listen(app: App, port: number, host: string): Promise<number> {
  try {
    await app.listen({ port, host })
  } catch (error) {
    throw listenError(error as NodeJS.ErrnoException, port, host)
  }
  return (app.server.address() as AddressInfo).port
}
