import type { RedisConnection } from './redis-connection.ts'
import type { RedisKeys } from './redis-keys.ts'

/** One entry, and how many connections end for it. */
export interface Outcome {
  readonly position: string
  readonly ended: Promise<number> | void
}

const keptSeconds = 60
/** No replica has this name. */
const anybody = '-'

/** Says how far a replica has done what the control log asks for: not what it has read, what it has carried out. */
export class ControlReport {
  readonly #redis: RedisConnection
  readonly #keys: RedisKeys
  readonly #replica: string
  #said: Promise<void> = Promise.resolve()

  constructor(redis: RedisConnection, keys: RedisKeys, replica: string) {
    this.#redis = redis
    this.#keys = keys
    this.#replica = replica
  }

  /** Everything up to `position` is done when these are. Never rejects, and says it in the order of the calls. */
  done(position: string, outcomes: readonly Outcome[]): void {
    this.#said = this.#said.then(async () => {
      const ended = await Promise.all(
        outcomes.map(async (one) => [one.position, (await one.ended) ?? 0] as const),
      )
      await this.#say(position, ended).catch(() => {})
    })
  }

  /**
   * How far any replica had come that said so last: what follows may have been done by none, where all of them went.
   * Nothing before the first one.
   */
  async reached(): Promise<string | undefined> {
    return (await this.#redis.hget(this.#keys.controlApplied, anybody)) ?? undefined
  }

  /** A replica that is gone is asked for nothing. */
  async close(): Promise<void> {
    await this.#redis.hdel(this.#keys.controlApplied, this.#replica).catch(() => {})
  }

  async #say(position: string, ended: readonly (readonly [string, number])[]): Promise<void> {
    const counts = ended.filter(([, count]) => count > 0)
    const said = counts.flatMap(([at, count]) => {
      const key = this.#keys.controlEnded(at)
      return [this.#redis.hset(key, this.#replica, count), this.#redis.expire(key, keptSeconds)]
    })
    await Promise.all(said)
    await this.#redis.hset(this.#keys.controlApplied, this.#replica, position, anybody, position)
  }
}
