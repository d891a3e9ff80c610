import type { Socket as NetStream } from 'node:net'
import { Redis, type RedisOptions } from 'ioredis'
import { DomainError } from '#core/errors.ts'
import type { Log } from '#core/process/logger.ts'

/**
 * A connection that never gives up and never makes anybody wait: while Redis is away commands fail at once,
 * and it reconnects on its own. No error of it ends the process.
 */
export function connectRedis(url: string, name: string, log: Log, options: RedisOptions = {}): Redis {
  const redis = new Redis(url, {
    connectionName: `cloudsignal-${name}`,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 5_000,
    commandTimeout: 2_000,
    keepAlive: 10_000,
    // After a failover the address may lead to the new master.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
    retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 6), 2_000),
    ...options,
  })
  reportTransitions(redis, name, log)
  redis.on('connect', () => writeOncePerTurn(redis.stream))
  return redis
}

/**
 * Gathers the commands of one turn of the event loop into one write: ioredis makes a system call for each, which
 * is most of what a command costs here.
 */
function writeOncePerTurn(stream: NetStream): void {
  const write = stream.write.bind(stream) as (...parameters: unknown[]) => boolean
  let isCorked = false
  stream.write = (...parameters: unknown[]): boolean => {
    if (!isCorked) {
      isCorked = true
      stream.cork()
      setImmediate(() => {
        isCorked = false
        stream.uncork()
      })
    }
    return write(...parameters)
  }
}

/** Says once that Redis went away and once that it is back, however often it is tried between. */
function reportTransitions(redis: Redis, name: string, log: Log): void {
  let isAway = false
  redis.on('error', (error: Error) => {
    if (isAway) return
    isAway = true
    log.warn(
      { connection: name, error: error.message },
      'Redis can not be reached; trying again until it can',
    )
  })
  redis.on('ready', () => {
    if (isAway) log.info({ connection: name }, 'Redis is reached again')
    isAway = false
  })
}

/** Resolves once Redis answers; rejects with the signal's reason when that aborts first. */
export async function untilReady(redis: Redis, signal: AbortSignal): Promise<void> {
  if (redis.status === 'ready') return
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
export async function closeRedis(redis: Redis): Promise<void> {
  if (redis.status === 'ready') await redis.quit().catch(() => redis.disconnect())
  else redis.disconnect()
}
