import type { Redis } from 'ioredis'
import { type OrganizationId, parseOrganizationId } from '#core/organizations/organization-id.ts'
import { organizationRecordName } from '#core/stores/identity-records.ts'
import { clockLua } from '#core/stores/redis-barrier-lua.ts'
import { fromRedis, nodeWith, type RedisConnection } from '#core/stores/redis-connection.ts'
import type { RedisKeys } from '#core/stores/redis-keys.ts'
import { redisScript } from '#core/stores/redis-script.ts'
import { formatTombstone, type Tombstone } from '#core/stores/tombstone.ts'
import { isLetGo, type Remains } from './remains.ts'

/** Of one call, so that nobody waits long for Redis: about a millisecond on a busy machine. */
const keysPerScan = 1_000
const keysPerRemoval = 100

/**
 * KEYS: what is to go. ARGV: where the tombstone stands, the tombstone, where the organization's record would stand, its
 * name there. How many went, or -1 where another organization has come in the place of the one that is gone.
 */
const removeWhileGone = redisScript(`
if redis.call('GET', ARGV[1]) ~= ARGV[2] or redis.call('HEXISTS', ARGV[3], ARGV[4]) == 1 then return -1 end
return redis.call('UNLINK', unpack(KEYS))`)

/** KEYS: schedule. ARGV: organization. Whoever looks for wills looks now, and finds whether there are any. */
const lookForWills = redisScript(`${clockLua}
return redis.call('ZADD', KEYS[1], 'XX', 'LT', ms(clock()), ARGV[1])`)

/** Finds keys by going over all: some are named by nothing that is left. */
export class RedisRemains implements Remains {
  readonly #redis: RedisConnection
  readonly #keys: RedisKeys

  constructor(redis: RedisConnection, keys: RedisKeys) {
    this.#redis = redis
    this.#keys = keys
  }

  async *remove(tombstones: readonly Tombstone[]): AsyncGenerator<number> {
    for (const { organization } of tombstones) {
      await fromRedis(() => lookForWills(this.#redis, [this.#keys.willSchedule], [organization]))
    }
    for (const [node, own] of this.#byNode(tombstones)) yield* this.#removeFrom(node, own)
  }

  #byNode(tombstones: readonly Tombstone[]): Map<Redis, Map<OrganizationId, Tombstone>> {
    const byNode = new Map<Redis, Map<OrganizationId, Tombstone>>()
    for (const tombstone of tombstones) {
      const node = nodeWith(this.#redis, this.#keys.own(tombstone.organization))
      const own = byNode.get(node) ?? new Map<OrganizationId, Tombstone>()
      byNode.set(node, own.set(tombstone.organization, tombstone))
    }
    return byNode
  }

  async *#removeFrom(node: Redis, tombstones: Map<OrganizationId, Tombstone>): AsyncGenerator<number> {
    const pattern = this.#keys.patternOf([...tombstones.keys()])
    let cursor = '0'
    do {
      const [next, found] = await fromRedis(() => node.scan(cursor, 'MATCH', pattern, 'COUNT', keysPerScan))
      cursor = next
      let removed = 0
      for (const [tombstone, keys] of this.#letGo(found, tombstones)) {
        removed += await this.#removeAll(tombstone, keys)
      }
      yield removed
    } while (cursor !== '0')
  }

  #letGo(
    found: readonly string[],
    tombstones: ReadonlyMap<OrganizationId, Tombstone>,
  ): Map<Tombstone, string[]> {
    const letGo = new Map<Tombstone, string[]>()
    for (const key of found) {
      const organization = parseOrganizationId(/\{(org_[^}]*)\}/.exec(key)?.[1] ?? '')
      const tombstone = organization && tombstones.get(organization)
      if (tombstone === undefined) continue
      const prefix = this.#keys.own(tombstone.organization)
      if (!key.startsWith(prefix) || !isLetGo(key.slice(prefix.length), tombstone)) continue
      const keys = letGo.get(tombstone) ?? []
      letGo.set(tombstone, keys)
      keys.push(key)
    }
    return letGo
  }

  async #removeAll(tombstone: Tombstone, keys: readonly string[]): Promise<number> {
    const { organization } = tombstone
    const condition = [
      this.#keys.tombstone(organization),
      formatTombstone(tombstone),
      this.#keys.identity('organization', organization),
      organizationRecordName,
    ]
    let removed = 0
    for (let start = 0; start < keys.length; start += keysPerRemoval) {
      const some = keys.slice(start, start + keysPerRemoval)
      const answer = await fromRedis(() => removeWhileGone(this.#redis, some, condition))
      if (Number(answer) < 0) return removed
      removed += Number(answer)
    }
    return removed
  }
}
