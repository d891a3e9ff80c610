import type { Redis } from 'ioredis'
import { auditNatures } from '#core/audit/audit-event.ts'
import { silentLog } from '#core/process/logger.ts'
import { closeRedis, connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { anOrganizationId } from '../../test/fixtures/records.ts'

const keys = redisKeys()
export const controlLog = keys.control
/** Of the organization that all clients of the bench belong to. */
export const auditLogs = auditNatures.map((nature) => keys.audit(anOrganizationId, nature))

/** What things take in a Redis: its data and the tables of its keys, without what its connections take. */
export class RedisMeter {
  readonly redis: Redis

  private constructor(redis: Redis) {
    this.redis = redis
  }

  static async at(url: string): Promise<RedisMeter> {
    const redis = connectRedis(url, 'bench', silentLog)
    await untilReady(redis, AbortSignal.timeout(10_000))
    return new RedisMeter(redis)
  }

  /** Bytes that each of `count` takes which `make` makes. Logs are left out: they have a length of their own. */
  async each(count: number, make: () => Promise<void>): Promise<number> {
    const before = await this.#bytes()
    await make()
    return Math.round(((await this.#bytes()) - before) / count)
  }

  /** Of a log, for each of its entries. */
  async entry(key: string): Promise<number> {
    return Math.round((await this.#usage(key)) / Math.max(1, await this.redis.xlen(key)))
  }

  async #bytes(): Promise<number> {
    const stats = pairsOf(await this.redis.call('MEMORY', 'STATS'))
    const database = pairsOf(stats.get('db.0'))
    const tables = ['overhead.hashtable.main', 'overhead.hashtable.expires'].map((name) => database.get(name))
    const counted = [stats.get('dataset.bytes'), ...tables].map((value) => Number(value ?? 0))
    const logs = await Promise.all([controlLog, ...auditLogs].map((key) => this.#usage(key)))
    return counted.reduce((sum, value) => sum + value, 0) - logs.reduce((sum, value) => sum + value, 0)
  }

  async #usage(key: string): Promise<number> {
    return Number((await this.redis.call('MEMORY', 'USAGE', key, 'SAMPLES', '0')) ?? 0)
  }

  close(): Promise<void> {
    return closeRedis(this.redis)
  }
}

/** Redis answers names and values in a row. */
function pairsOf(answer: unknown): ReadonlyMap<string, unknown> {
  const row = Array.isArray(answer) ? (answer as readonly unknown[]) : []
  return new Map(row.flatMap((name, index) => (index % 2 === 0 ? [[String(name), row[index + 1]]] : [])))
}
