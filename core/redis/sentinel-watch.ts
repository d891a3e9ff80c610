import type { Socket } from 'node:net'
import { Redis, type RedisOptions } from 'ioredis'
import type { SentinelLocation } from './redis-location.ts'

/**
 * Leaves the former master as soon as one of the Sentinels tells of another one: a master that hangs, or is cut
 * off from the Sentinels alone, does not end its connections. ioredis has the same, but when that is told while
 * it asks the Sentinels for the master, it gives up for good.
 */
export function followFailovers(redis: Redis, location: SentinelLocation, options: RedisOptions): void {
  const { sentinels, master, sentinelUsername, sentinelPassword, isTls } = location
  let left = ''
  /** Every Sentinel tells it, each when it has heard. */
  const leave = (successor: string): void => {
    const isConnected = redis.status === 'connect' || redis.status === 'ready'
    if (!isConnected || successor === left || successor === peerOf(redis)) return
    left = successor
    redis.disconnect(true)
  }
  const watchers = sentinels.map((address) => {
    const sentinel = new Redis({
      ...options,
      ...address,
      ...(sentinelUsername === undefined ? {} : { username: sentinelUsername }),
      ...(sentinelPassword === undefined ? {} : { password: sentinelPassword }),
      ...(isTls ? { tls: options.tls ?? {} } : {}),
      enableReadyCheck: false,
      autoResubscribe: false,
    })
    // Where they can not be reached, `redis` says so.
    sentinel.on('error', () => {})
    sentinel.on('ready', () => void sentinel.subscribe('+switch-master').catch(() => {}))
    sentinel.on('message', (_channel: string, text: string) => {
      const [name, , , host, port] = text.split(' ')
      if (name === master) leave(`${host}:${port}`)
    })
    return sentinel
  })
  redis.once('end', () => {
    for (const sentinel of watchers) sentinel.disconnect()
  })
}

function peerOf({ stream }: Redis): string {
  const { remoteAddress, remotePort } = stream as Socket
  return `${remoteAddress?.replace(/^::ffff:/, '')}:${remotePort}`
}
