import type { Socket } from 'node:net'
import type { Redis } from 'ioredis'
import { errorFields, type Log } from '#core/process/logger.ts'
import type { RedisMemory, RedisServerMetrics } from './redis-server-metrics.ts'

/** What of Redis decides whether it keeps what a publisher was promised. */
export interface RedisDurability {
  /** Everything is written to a file as it comes. */
  readonly appendOnly: boolean
  /** `maxmemory_policy` */
  readonly eviction: string
  readonly replicas: number
}

const everyMs = 30_000

/** Of the answer to INFO. */
export function readDurability(info: string): RedisDurability {
  const fields = fieldsOf(info)
  return {
    appendOnly: fields.get('aof_enabled') === '1',
    eviction: fields.get('maxmemory_policy') ?? 'unknown',
    replicas: Number(fields.get('connected_slaves') ?? 0),
  }
}

function readMemory(info: string): RedisMemory {
  const fields = fieldsOf(info)
  return {
    usedBytes: Number(fields.get('used_memory') ?? 0),
    mostBytes: Number(fields.get('maxmemory') ?? 0),
  }
}

function fieldsOf(info: string): ReadonlyMap<string, string> {
  return new Map(
    info.split('\r\n').map((line) => {
      const [name = '', value = ''] = line.split(':')
      return [name, value]
    }),
  )
}

/** Why messages that were acknowledged could be lost. */
export function durabilityProblems({ appendOnly, eviction }: RedisDurability): string[] {
  return [
    ...(appendOnly ? [] : ['a restart of Redis loses messages: set appendonly yes']),
    ...(eviction === 'noeviction'
      ? []
      : ['Redis drops messages when it is full: set maxmemory-policy noeviction']),
  ]
}

/**
 * Says how Redis keeps what it is given, each time that it is connected and when that has changed. INFO is enough:
 * CONFIG is often closed.
 */
export function reportRedis(redis: Redis, log: Log, metrics?: RedisServerMetrics): void {
  let said = ''
  let node = ''
  const see = (info: string, durability: RedisDurability): void => {
    const { remoteAddress, remotePort } = redis.stream as Socket
    const now = `${remoteAddress}:${remotePort}`
    if (node !== now) metrics?.gone(node)
    node = now
    metrics?.seen(node, durability, readMemory(info))
  }
  const say = (durability: RedisDurability): void => {
    const problems = durabilityProblems(durability)
    if (problems.length === 0) log.info(durability, 'Redis keeps what it is given')
    else log.warn({ ...durability, problems }, 'Redis may lose what was acknowledged')
  }
  const look = async (): Promise<void> => {
    try {
      const info = await redis.info()
      const durability = readDurability(info)
      see(info, durability)
      const policy = `${durability.appendOnly} ${durability.eviction}`
      if (policy !== said) say(durability)
      said = policy
    } catch (error) {
      if (said === '') log.warn(errorFields(error), 'Redis does not say how it keeps what it is given')
    }
  }
  redis.on('ready', () => {
    said = ''
    void look()
  })
  const timer = setInterval(() => {
    if (redis.status === 'ready') void look()
  }, everyMs)
  timer.unref()
  redis.once('end', () => {
    clearInterval(timer)
    metrics?.gone(node)
  })
}
