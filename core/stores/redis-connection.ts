import { type Cluster, Redis, type RedisOptions } from 'ioredis'
import { DomainError } from '#core/errors.ts'
import { type Log, silentLog } from '#core/process/logger.ts'
import { endWhenSilent, writeOncePerTurn } from '#core/redis/connection-streams.ts'
import {
  type ClusterLocation,
  redisLocation,
  type RedisLocation,
  type SentinelLocation,
  type SingleLocation,
} from '#core/redis/redis-location.ts'
import { reportNodes, reportTransitions } from '#core/redis/report-transitions.ts'
import { followFailovers } from '#core/redis/sentinel-watch.ts'
import { StrictCluster } from '#core/redis/strict-cluster.ts'

/** A connection to one Redis, which may be the master of the moment, or the connections to the nodes of a Cluster. */
export type RedisConnection = Redis | Cluster

const retryStrategy = (attempt: number): number => Math.min(50 * 2 ** Math.min(attempt, 5), 1_000)

const everywhere = {
  maxRetriesPerRequest: 0,
  connectTimeout: 5_000,
  commandTimeout: 2_000,
  keepAlive: 10_000,
  // After a failover the address may lead to the new master.
  reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
} satisfies RedisOptions

/**
 * A connection that never gives up and never makes anybody wait: while Redis is away commands fail at once, each
 * is sent once, and it reconnects on its own, to the new master when there is one. No error of it ends the
 * process.
 */
export function connectRedis(
  location: string | SingleLocation | SentinelLocation,
  name: string,
  log: Log,
  options?: RedisOptions,
): Redis
export function connectRedis(
  location: ClusterLocation,
  name: string,
  log: Log,
  options?: RedisOptions,
): StrictCluster
export function connectRedis(
  location: RedisLocation,
  name: string,
  log: Log,
  options?: RedisOptions,
): RedisConnection
export function connectRedis(
  location: string | RedisLocation,
  name: string,
  log: Log,
  options: RedisOptions = {},
): RedisConnection {
  const where = typeof location === 'string' ? redisLocation(location) : location
  return where.mode === 'cluster'
    ? connectCluster(where, name, log, options)
    : connectOne(where, name, log, options)
}

/** How each connection was made: ioredis' own duplicates would lack what is done around them. */
const makers = new WeakMap<RedisConnection, () => RedisConnection>()

/** Another one like it, for commands that block; it reports nothing. */
export function duplicateConnection(redis: RedisConnection): RedisConnection {
  const make = makers.get(redis)
  if (make === undefined) throw new TypeError('only what connectRedis made can be duplicated')
  return make()
}

function connectOne(
  location: SingleLocation | SentinelLocation,
  name: string,
  log: Log,
  options: RedisOptions,
): Redis {
  const redis = new Redis({
    ...everywhere,
    ...accessOf(location, name, options),
    ...(location.mode === 'single' ? location.address : sentinelOptions(location, options)),
    db: location.database,
    enableOfflineQueue: false,
    retryStrategy,
    ...options,
  })
  makers.set(redis, () => connectOne(location, name, silentLog, options))
  reportTransitions(redis, name, log)
  redis.on('connect', () => writeOncePerTurn(redis.stream))
  endWhenSilent(redis)
  if (location.mode === 'sentinel') {
    followFailovers(redis, location, {
      ...everywhere,
      retryStrategy,
      connectionName: `cloudsignal-${name}`,
      ...options,
    })
  }
  return redis
}

function sentinelOptions(location: SentinelLocation, { tls = {} }: RedisOptions): RedisOptions {
  const { sentinels, master, sentinelUsername, sentinelPassword, isTls } = location
  return {
    sentinels: sentinels.map((address) => ({ ...address })),
    name: master,
    ...(sentinelUsername === undefined ? {} : { sentinelUsername }),
    ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
    ...(isTls ? { enableTLSForSentinelMode: true, sentinelTLS: tls } : {}),
    sentinelCommandTimeout: 1_000,
    sentinelRetryStrategy: retryStrategy,
    // A master that hangs does not say goodbye either.
    disconnectTimeout: 100,
  }
}

function connectCluster(
  location: ClusterLocation,
  name: string,
  log: Log,
  options: RedisOptions,
): StrictCluster {
  const cluster = new StrictCluster(location.nodes, {
    clusterRetryStrategy: retryStrategy,
    redisOptions: { ...everywhere, ...accessOf(location, name, options), ...options },
  })
  makers.set(cluster, () => connectCluster(location, name, silentLog, options))
  reportTransitions(cluster, name, log)
  reportNodes(cluster, name, log)
  return cluster
}

function accessOf(
  { username, password, isTls }: RedisLocation,
  name: string,
  { tls = {} }: RedisOptions,
): RedisOptions {
  return {
    connectionName: `cloudsignal-${name}`,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(isTls ? { tls } : {}),
  }
}
/** The connection, or those to the nodes of a Cluster, which take each other's place: before they are open. */
export function eachNode(redis: RedisConnection, use: (node: Redis) => void): void {
  if (redis instanceof Redis) use(redis)
  else redis.on('+node', use)
}

/** The connection that a command on this key goes to; undefined while no node is known to have it. */
export function nodeOf(redis: RedisConnection, key: string): Redis | undefined {
  if (redis instanceof Redis) return redis
  return redis instanceof StrictCluster ? redis.nodeOf(key) : undefined
}

/** The same for who can do nothing without it: throws `store-unavailable`. */
export function nodeWith(redis: RedisConnection, key: string): Redis {
  const node = nodeOf(redis, key)
  if (node === undefined) throw new DomainError('store-unavailable', 'no node of Redis has the key')
  return node
}

/** Resolves once Redis answers; rejects with the signal's reason when that aborts first. */
export async function untilReady(redis: RedisConnection, signal: AbortSignal): Promise<void> {
  if (redis.status !== 'ready') {
    const ready = Promise.withResolvers<void>()
    const aborted = (): void => ready.reject(signal.reason)
    redis.once('ready', ready.resolve)
    signal.addEventListener('abort', aborted, { once: true })
    try {
      await ready.promise
    } finally {
      redis.off('ready', ready.resolve)
      signal.removeEventListener('abort', aborted)
    }
  }
  if (redis instanceof StrictCluster) await redis.untilConnected()
}

/** What a Redis operation answers, or `store-unavailable`. A DomainError of ours passes. */
export async function fromRedis<T>(operation: () => Promise<T>): Promise<T> {
  try {
    return await operation()
  } catch (cause) {
    if (cause instanceof DomainError) throw cause
    throw new DomainError('store-unavailable', 'Redis did not answer', { cause })
  }
}

/** Closes without waiting for a Redis that is away. */
export async function closeRedis(redis: RedisConnection): Promise<void> {
  if (redis.status === 'ready') await redis.quit().catch(() => redis.disconnect())
  else redis.disconnect()
}
