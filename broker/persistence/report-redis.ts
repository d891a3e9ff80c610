import type { Redis } from 'ioredis'
import { errorFields, type Log } from '#core/process/logger.ts'

/** What of Redis decides whether it keeps what a publisher was promised. */
export interface RedisDurability {
  /** Everything is written to a file as it comes. */
  readonly appendOnly: boolean
  /** `maxmemory_policy` */
  readonly eviction: string
  readonly replicas: number
}

/** Of the answer to INFO. */
export function readDurability(info: string): RedisDurability {
  const fields = new Map(
    info.split('\r\n').map((line) => {
      const [name = '', value = ''] = line.split(':')
      return [name, value]
    }),
  )
  return {
    appendOnly: fields.get('aof_enabled') === '1',
    eviction: fields.get('maxmemory_policy') ?? 'unknown',
    replicas: Number(fields.get('connected_slaves') ?? 0),
  }
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

/** Says how Redis keeps what it is given, each time that it is connected. INFO is enough: CONFIG is often closed. */
export function reportRedis(redis: Redis, log: Log): void {
  const report = async (): Promise<void> => {
    try {
      const durability = readDurability(await redis.info())
      const problems = durabilityProblems(durability)
      if (problems.length === 0) log.info(durability, 'Redis keeps what it is given')
      else log.warn({ ...durability, problems }, 'Redis may lose what was acknowledged')
    } catch (error) {
      log.warn(errorFields(error), 'Redis does not say how it keeps what it is given')
    }
  }
  redis.on('ready', () => void report())
}
