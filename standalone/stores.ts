import type { Registry } from 'prom-client'
import { type Clock, systemClock } from '#core/clock.ts'
import type { Log } from '#core/process/logger.ts'
import type { Shutdown } from '#core/process/shutdown.ts'
import type { RedisLocation } from '#core/redis/redis-location.ts'
import { type AuditTrail, defaultTrailBounds } from '#core/stores/audit-trail.ts'
import type { ApiKeyUses } from '#core/stores/api-key-uses.ts'
import type { ControlLog } from '#core/stores/control-log.ts'
import type { CredentialStore } from '#core/stores/credential-store.ts'
import type { FormerPasswordMarks } from '#core/stores/former-password-marks.ts'
import type { IdentityWriter } from '#core/stores/identity-store.ts'
import type { Marks } from '#core/stores/marks.ts'
import { MemoryApiKeyUses } from '#core/stores/memory-api-key-uses.ts'
import { MemoryAuditTrail } from '#core/stores/memory-audit-trail.ts'
import { MemoryBarriers } from '#core/stores/memory-barriers.ts'
import { MemoryControlLog } from '#core/stores/memory-control-log.ts'
import { MemoryCredentialStore } from '#core/stores/memory-credential-store.ts'
import { MemoryFormerPasswordMarks } from '#core/stores/memory-former-password-marks.ts'
import { MemoryIdentityStore } from '#core/stores/memory-identity-store.ts'
import { MemoryPurgeMarks } from '#core/stores/memory-purge-marks.ts'
import { MemoryMarks } from '#core/stores/memory-marks.ts'
import { MemoryRateLimiter } from '#core/stores/memory-rate-limiter.ts'
import type { PurgeMarks } from '#core/stores/purge-marks.ts'
import type { RateLimiter } from '#core/stores/rate-limiter.ts'
import { RedisApiKeyUses } from '#core/stores/redis-api-key-uses.ts'
import { RedisAuditTrail } from '#core/stores/redis-audit-trail.ts'
import { startRedisClock } from '#core/stores/redis-clock.ts'
import { closeRedis, connectRedis, eachNode, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisCredentialStore } from '#core/stores/redis-credential-store.ts'
import { RedisFormerPasswordMarks } from '#core/stores/redis-former-password-marks.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { createRedisMetrics } from '#core/stores/redis-metrics.ts'
import { RedisPurgeMarks } from '#core/stores/redis-purge-marks.ts'
import { RedisMarks } from '#core/stores/redis-marks.ts'
import { RedisRateLimiter } from '#core/stores/redis-rate-limiter.ts'
import { RedisBus } from '../broker/bus/redis-bus.ts'
import { createBusMetrics } from '../broker/metrics.ts'
import { createRedisServerMetrics } from '../broker/persistence/redis-server-metrics.ts'
import { reportRedis } from '../broker/persistence/report-redis.ts'
import { type Cluster, memoryCluster, redisCluster } from '../broker/organizations/cluster.ts'

/** Where records and messages lie: all of it in this process, or all of it in Redis. */
export interface Stores {
  readonly identities: IdentityWriter
  readonly credentials: CredentialStore
  readonly controlLog: ControlLog
  readonly keyUses: ApiKeyUses
  readonly formerPasswords: FormerPasswordMarks
  readonly purges: PurgeMarks
  readonly marks: Marks
  readonly auditTrail: AuditTrail
  readonly cluster: Cluster
  readonly limiter: RateLimiter
  /** The stores' time. */
  readonly now: Clock
  /** Why they can not be used right now. */
  readonly problem: () => string | undefined
}

export function memoryStores(now: Clock = systemClock): Stores {
  const controlLog = new MemoryControlLog(now)
  const barriers = new MemoryBarriers(now)
  const identities = new MemoryIdentityStore(controlLog, barriers)
  const credentials = new MemoryCredentialStore(controlLog, now, barriers)
  const auditTrail = new MemoryAuditTrail(defaultTrailBounds, now)
  return {
    identities,
    credentials,
    controlLog,
    keyUses: new MemoryApiKeyUses(),
    formerPasswords: new MemoryFormerPasswordMarks(),
    purges: new MemoryPurgeMarks(),
    marks: new MemoryMarks(now),
    auditTrail,
    cluster: memoryCluster(now, {
      identities,
      forgetCredentials(tombstone) {
        credentials.forgetAll(tombstone)
        if (!tombstone.retains) auditTrail.forgetAll(tombstone.organization)
      },
    }),
    limiter: new MemoryRateLimiter(now),
    now,
    problem: () => undefined,
  }
}

/** Resolves once Redis answers, however long that takes; rejects when the signal aborts first. */
export async function redisStores(
  location: RedisLocation,
  log: Log,
  shutdown: Shutdown,
  signal: AbortSignal,
  registry: Registry,
): Promise<Stores> {
  const redis = connectRedis(location, 'standalone', log)
  shutdown.add('redis', () => closeRedis(redis))
  const subscriber = connectRedis(location, 'standalone-bus', log)
  shutdown.add('bus', () => closeRedis(subscriber))
  const replicated = connectRedis(location, 'standalone-replicated', log)
  shutdown.add('replicated writes', () => closeRedis(replicated))
  const keys = redisKeys()
  const redisMetrics = createRedisMetrics(registry)
  const connections = {
    standalone: redis,
    'standalone-bus': subscriber,
    'standalone-replicated': replicated,
  }
  for (const [name, connection] of Object.entries(connections)) redisMetrics.watch(name, connection)
  const serverMetrics = createRedisServerMetrics(registry)
  eachNode(redis, (node) => reportRedis(node, log, serverMetrics))
  const clock = startRedisClock(redis, keys, redisMetrics.probe)
  shutdown.add('clock', clock.close)
  await untilReady(redis, signal)
  await untilReady(subscriber, signal)
  await untilReady(replicated, signal)
  const controlLog = new RedisControlLog(redis, keys)
  return {
    identities: new RedisIdentityStore(redis, keys, controlLog),
    credentials: new RedisCredentialStore(redis, keys, controlLog),
    controlLog,
    keyUses: new RedisApiKeyUses(redis, keys),
    formerPasswords: new RedisFormerPasswordMarks(redis, keys),
    purges: new RedisPurgeMarks(redis, keys),
    marks: new RedisMarks(redis, keys),
    auditTrail: new RedisAuditTrail(redis, keys, defaultTrailBounds, clock.now),
    cluster: redisCluster(
      redis,
      replicated,
      keys,
      new RedisBus({ publisher: redis, subscriber, keys, log, metrics: createBusMetrics(registry) }),
      log,
    ),
    limiter: new RedisRateLimiter(redis, keys),
    now: clock.now,
    problem: () =>
      clock.reachable() && subscriber.status === 'ready' ? undefined : 'Redis is not reachable',
  }
}
