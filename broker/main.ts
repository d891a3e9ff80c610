import { setTimeout as pause } from 'node:timers/promises'
import { openAudit } from '#core/audit/program-audit.ts'
import { isDomainError } from '#core/errors.ts'
import { errorFields, type Log } from '#core/process/logger.ts'
import { probeAnswers, serveProbes } from '#core/process/probe-server.ts'
import { runProgram } from '#core/process/program.ts'
import { programRegistry } from '#core/metrics/program-registry.ts'
import { startRedisClock } from '#core/stores/redis-clock.ts'
import { redisTls } from '#core/redis/redis-tls.ts'
import { closeRedis, connectRedis, eachNode, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisCredentialRenewer } from '#core/stores/redis-credential-store.ts'
import { RedisFormerPasswordMarks } from '#core/stores/redis-former-password-marks.ts'
import { RedisPurgeMarks } from '#core/stores/redis-purge-marks.ts'
import { RedisIdentityReader } from '#core/stores/redis-identity-reader.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { createRedisMetrics } from '#core/stores/redis-metrics.ts'
import { costOfHashing } from './admission/password-checks.ts'
import { type Broker, type BrokerOptions, startBroker } from './broker.ts'
import { RedisBus } from './bus/redis-bus.ts'
import { readCertificate, watchCertificate } from './listeners/certificate-files.ts'
import { createBusMetrics } from './metrics.ts'
import { redisCluster } from './organizations/cluster.ts'
import { createRedisServerMetrics } from './persistence/redis-server-metrics.ts'
import { reportRedis } from './persistence/report-redis.ts'
import { brokerSettings, shutdownMs } from './settings.ts'
import { workerNumber } from './workers/messages.ts'
import { supervise } from './workers/supervise.ts'
import { answerSupervisor, tellReady } from './workers/supervised.ts'

const retryMs = 1_000

/** One of several, that the first process of this program has started. */
const worker = workerNumber(process.argv.slice(2))

await runProgram({
  name: 'broker',
  ...(worker === undefined ? {} : { logFields: { worker }, signals: ['SIGTERM'] as const }),
  summary: 'CloudSignal broker: one replica of the MQTT cluster.',
  settings: brokerSettings,
  graceMs: (settings) => shutdownMs(worker === undefined ? settings : { ...settings, workers: 1 }),
  async run({ settings, log, shutdown }) {
    if (settings.workers > 1 && worker === undefined) return supervise({ settings, log, shutdown })
    let broker: Broker | undefined
    const files = { certFile: settings.tlsCertFile, keyFile: settings.tlsKeyFile }
    const certificate = await readCertificate(files)
    const registry = programRegistry('broker')
    if (worker !== undefined) registry.setDefaultLabels({ worker })
    const redisMetrics = createRedisMetrics(registry)
    const tls = redisTls(settings)
    const redis = connectRedis(settings.redisUrl, 'broker', log, tls)
    shutdown.add('redis', () => closeRedis(redis))
    const subscriber = connectRedis(settings.redisUrl, 'broker-bus', log, tls)
    shutdown.add('bus', () => closeRedis(subscriber))
    const replicated = connectRedis(settings.redisUrl, 'broker-replicated', log, tls)
    shutdown.add('replicated writes', () => closeRedis(replicated))
    const connections = { broker: redis, 'broker-bus': subscriber, 'broker-replicated': replicated }
    for (const [name, connection] of Object.entries(connections)) redisMetrics.watch(name, connection)
    const serverMetrics = createRedisServerMetrics(registry)
    eachNode(redis, (node) => reportRedis(node, log, serverMetrics))
    const keys = redisKeys(settings.keyPrefix)
    const clock = startRedisClock(redis, keys, redisMetrics.probe)
    shutdown.add('clock', clock.close)
    const { audit, organizationLabels } = openAudit('broker', {
      settings,
      redis,
      keys,
      now: clock.now,
      registry,
    })
    shutdown.add('audit', () => audit.close())
    const answer = probeAnswers({
      registry,
      readiness: {
        process: () => (shutdown.signal.aborted ? 'shutting down' : undefined),
        redis: () => (clock.reachable() && subscriber.status === 'ready' ? undefined : 'not reachable'),
        broker: () => (broker === undefined ? 'not started' : undefined),
        'control log': () => (broker?.isStale() === true ? 'not read for too long' : undefined),
      },
    })
    const probes =
      worker === undefined
        ? await serveProbes({ host: settings.probeHost, port: settings.probePort }, answer)
        : answerSupervisor(answer, shutdown)
    shutdown.add('probes', () => probes?.close())
    log.info({ port: probes?.port }, 'waiting for Redis')
    await untilReady(redis, shutdown.signal)
    await untilReady(subscriber, shutdown.signal)
    await untilReady(replicated, shutdown.signal)
    const metrics = createBusMetrics(registry)
    const bus = new RedisBus({ publisher: redis, subscriber, keys, log, metrics })
    shutdown.add('bus channels', () => bus.close())
    const controlLog = new RedisControlLog(redis, keys)
    const address = { host: settings.host, ...certificate }
    broker = await startOnceStoreAnswers(log, shutdown.signal, {
      identities: new RedisIdentityReader(redis, keys),
      credentials: new RedisCredentialRenewer(redis, keys, controlLog),
      controlLog,
      formerPasswords: new RedisFormerPasswordMarks(redis, keys),
      purges: new RedisPurgeMarks(redis, keys),
      cluster: redisCluster(redis, replicated, keys, bus, log),
      listeners: {
        mqtts: { ...address, port: settings.mqttsPort },
        wss: { ...address, port: settings.wssPort },
        ...(settings.mqttPort === undefined
          ? {}
          : { mqtt: { host: settings.host, port: settings.mqttPort } }),
      },
      now: clock.now,
      log,
      audit,
      registry,
      organizationLabels,
      perSubject: settings.subjectPerMinute,
      throttle: {
        perClient: settings.failedPerClient,
        perName: settings.failedPerName,
        perAddress: settings.failedPerAddress,
      },
      passwordChecks: {
        hashing: settings.passwordChecks,
        cost: costOfHashing(settings.passwordChecks),
        waiting: settings.passwordChecksWaiting,
        ofName: settings.passwordChecksPerName,
      },
      maxStalenessMs: settings.maxStalenessSeconds * 1_000,
      limits: {
        expiryNoticeMs: settings.expiryNoticeSeconds * 1_000,
        deferredWillSeconds: settings.deferredWillSeconds,
      },
      reusePort: worker !== undefined,
      ...(settings.proxies === undefined ? {} : { proxies: settings.proxies }),
      ...(settings.serverReference === '' ? {} : { serverReference: settings.serverReference }),
    })
    shutdown.add('broker', () => broker?.close())
    const times = { delayMs: settings.drainDelaySeconds * 1_000, overMs: settings.drainSeconds * 1_000 }
    shutdown.add('clients', () => broker?.drain(times))
    const use = broker.useCertificate
    const stopWatching = watchCertificate(files, { current: certificate, everyMs: 10_000, use, log })
    shutdown.add('certificate', async () => stopWatching())
    log.info({ ...broker.ports, probes: probes?.port, replica: bus.replica }, 'the broker is ready')
    if (worker !== undefined) tellReady()
  },
})

/** Redis may go away again between the first answer and the last step of the start. */
async function startOnceStoreAnswers(log: Log, signal: AbortSignal, options: BrokerOptions): Promise<Broker> {
  for (;;) {
    try {
      return await startBroker(options)
    } catch (error) {
      if (!isDomainError(error, 'store-unavailable') || signal.aborted) throw error
      log.warn(errorFields(error), 'the store did not answer; trying again')
      await pause(retryMs)
    }
  }
}
