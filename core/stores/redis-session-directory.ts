import { parseJson } from '#core/json.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { beginning, behindAll } from './prefix-range.ts'
import { fromRedis, type RedisConnection } from './redis-connection.ts'
import type { RedisKeys } from './redis-keys.ts'
import {
  type ConnectionAbout,
  type LiveConnection,
  numbersPerMs,
  type SessionDirectory,
  type SessionEntry,
  type SessionPage,
  type StoredSessionState,
} from './session-directory.ts'

/** Reads what the brokers keep under `cs:{org}:mq:`, see `broker/persistence/session-scripts.ts` and `broker/cluster/registry-scripts.ts`. */
export class RedisSessionDirectory implements SessionDirectory {
  readonly #redis: RedisConnection
  readonly #keys: RedisKeys

  constructor(redis: RedisConnection, keys: RedisKeys) {
    this.#redis = redis
    this.#keys = keys
  }

  async list(
    organization: OrganizationId,
    prefix: string,
    after: string,
    limit: number,
  ): Promise<SessionPage> {
    const names = this.#keys.messaging(organization)
    const from = beginning(prefix, after)
    const found = await Promise.all(
      ['clients:ids', 'session-ids'].map((key) =>
        fromRedis(() =>
          this.#redis.zrangebylex(`${names}${key}`, from, behindAll(prefix), 'LIMIT', 0, limit + 1),
        ),
      ),
    )
    const ids = [...new Set(found.flat())].toSorted(byBytes)
    const page = ids.slice(0, limit)
    const entries = await this.#read(names, page)
    const last = page.at(-1)
    // One that has ended while it was read is left out.
    const sessions = entries.filter((each) => each !== undefined)
    return ids.length <= limit || last === undefined ? { sessions } : { sessions, next: last }
  }

  async find(organization: OrganizationId, id: string): Promise<SessionEntry | undefined> {
    const [entry] = await this.#read(this.#keys.messaging(organization), [id])
    return entry
  }

  async #read(names: string, ids: readonly string[]): Promise<(SessionEntry | undefined)[]> {
    if (ids.length === 0) return []
    const answers = await fromRedis(async () => {
      const pipeline = this.#redis.pipeline()
      pipeline.hmget(`${names}clients:owners`, ...ids)
      pipeline.hmget(`${names}clients:about`, ...ids)
      pipeline.zmscore(`${names}sessions`, ...ids)
      for (const id of ids) pipeline.hgetall(`${names}session:${id}`).zcard(`${names}queue:${id}`)
      const results = (await pipeline.exec()) ?? []
      return results.map(([error, value]) => {
        if (error) throw error
        return value
      })
    })
    const [owners, abouts, ends, ...stored] = answers as [
      (string | null)[],
      (string | null)[],
      (string | null)[],
      ...unknown[],
    ]
    return ids.map((id, index) => {
      const connection = connectionOf(owners[index], abouts[index])
      const state = storedOf(ends[index], stored[index * 2], stored[index * 2 + 1])
      if (connection === undefined && state === undefined) return undefined
      return {
        id,
        ...(connection === undefined ? {} : { connection }),
        ...(state === undefined ? {} : { stored: state }),
      }
    })
  }
}

/** `<epoch> <replica>`, the epoch in microseconds; `<epoch> -` while only its will is left. */
function connectionOf(
  owner: string | null | undefined,
  about: string | null | undefined,
): LiveConnection | undefined {
  const [, epoch, replica] = /^(\d+) (\S+)$/.exec(owner ?? '') ?? []
  if (epoch === undefined || replica === undefined || replica === '-') return undefined
  return { ...aboutOf(about), replica, since: Math.floor(Number(epoch) / 1_000) }
}

/** Nothing for what another version may have written. */
function aboutOf(text: string | null | undefined): Partial<ConnectionAbout> {
  return (parseJson(text ?? '') ?? {}) as Partial<ConnectionAbout>
}

function storedOf(
  ends: string | null | undefined,
  session: unknown,
  queued: unknown,
): StoredSessionState | undefined {
  const fields = session as Readonly<Record<string, string>>
  const epoch = fields['']
  if (ends === null || ends === undefined || epoch === undefined) return undefined
  return {
    openedAt: Math.floor(Number.parseInt(epoch, 10) / numbersPerMs),
    endsAt: Number(ends),
    subscriptions: Object.keys(fields).filter((filter) => filter !== ''),
    queued: Number(queued),
  }
}

const byBytes = (left: string, right: string): number => Buffer.compare(Buffer.from(left), Buffer.from(right))
