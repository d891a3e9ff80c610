import { type OrganizationId, parseOrganizationId } from '#core/organizations/organization-id.ts'
import { type PurgeMark, type PurgeMarks, type PurgeState, purgeStates } from './purge-marks.ts'
import { fromRedis, type RedisConnection } from './redis-connection.ts'
import type { RedisKeys } from './redis-keys.ts'
import { redisScript } from './redis-script.ts'
import type { Tombstone } from './tombstone.ts'

/** KEYS: lease. ARGV: replica, ms. 1 when it is the replica's. */
const lease = redisScript(`
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`)

/** KEYS: lease. ARGV: replica. */
const release = redisScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`)

/** KEYS: marks. ARGV: organization, the mark that it has. */
const forget = redisScript(`
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
return 1`)

export class RedisPurgeMarks implements PurgeMarks {
  readonly #redis: RedisConnection
  readonly #keys: RedisKeys

  constructor(redis: RedisConnection, keys: RedisKeys) {
    this.#redis = redis
    this.#keys = keys
  }

  async all(): Promise<ReadonlyMap<OrganizationId, PurgeMark>> {
    const marks = new Map<OrganizationId, PurgeMark>()
    const texts = await fromRedis(() => this.#redis.hgetall(this.#keys.purges))
    for (const [name, text] of Object.entries(texts)) {
      const [organization, mark] = [parseOrganizationId(name), parse(text)]
      if (organization !== undefined && mark !== undefined) marks.set(organization, mark)
    }
    return marks
  }

  async of(organization: OrganizationId): Promise<PurgeMark | undefined> {
    return parse((await fromRedis(() => this.#redis.hget(this.#keys.purges, organization))) ?? '')
  }

  async hasBroker(): Promise<boolean> {
    const [seconds] = await fromRedis(() => this.#redis.time())
    const from = `(${Number(seconds) * 1_000}`
    const live = await fromRedis(() => this.#redis.zrange(this.#keys.replicas, from, '+inf', 'BYSCORE'))
    return live.length > 0
  }

  async mark({ organization, id }: Tombstone, state: PurgeState, at: number): Promise<void> {
    const text = format({ tombstone: id, state, at })
    await fromRedis(() => this.#redis.hset(this.#keys.purges, organization, text))
  }

  async forget(organization: OrganizationId, mark: PurgeMark): Promise<void> {
    await fromRedis(() => forget(this.#redis, [this.#keys.purges], [organization, format(mark)]))
  }

  async lease(replica: string, ms: number): Promise<boolean> {
    return (await fromRedis(() => lease(this.#redis, [this.#keys.purger], [replica, ms]))) === 1
  }

  async release(replica: string): Promise<void> {
    await fromRedis(() => release(this.#redis, [this.#keys.purger], [replica]))
  }
}

const format = ({ tombstone, state, at }: PurgeMark): string => `${tombstone} ${state} ${Math.round(at)}`

function parse(text: string): PurgeMark | undefined {
  const [, tombstone, name, at] = /^(\d{1,17}) (\w+) (\d{1,15})$/.exec(text) ?? []
  const state = purgeStates.find((each) => each === name)
  return tombstone === undefined || state === undefined ? undefined : { tombstone, state, at: Number(at) }
}
