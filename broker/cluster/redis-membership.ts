import { type OrganizationId, parseOrganizationId } from '#core/organizations/organization-id.ts'
import { errorFields, type Log } from '#core/process/logger.ts'
import { fromRedis, type RedisConnection } from '#core/stores/redis-connection.ts'
import type { RedisKeys } from '#core/stores/redis-keys.ts'
import { redisScript } from '#core/stores/redis-script.ts'
import type { Membership, MembershipEvents } from './membership.ts'
import type { RedisClientRegistry } from './redis-client-registry.ts'

export interface LeaseTimes {
  /** How long a replica that is silent is taken for alive. */
  readonly leaseMs: number
  readonly renewMs: number
}

const defaultTimes: LeaseTimes = { leaseMs: 6_000, renewMs: 1_500 }

/** A replica that is cut off may come back, and asks for what it missed: as long as others keep that for it. */
const rememberedMs = 60_000

/**
 * Keys: leases, replicas that are gone, this one's organizations. replica, ms: `{whether its lease had not ended,
 * replica whose lease has...}`
 */
const renew = redisScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local former = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('PERSIST', KEYS[3])
local ended = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
return {(former and tonumber(former) > now) and '1' or '0', unpack(ended)}`)

const live = redisScript(`
local time = redis.call('TIME')
return redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', time[1] * 1000 + math.floor(time[2] / 1000)), '+inf')`)

/** Keys: leases, replicas that are gone. The replicas whose lease has not ended, and those that are gone for not so many ms. */
const around = redisScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return {redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf'),
  redis.call('ZRANGEBYSCORE', KEYS[2], string.format('(%.0f', now - ARGV[1]), '+inf')}`)

/**
 * Keys: leases, replicas that are gone, its organizations. replica, ms: takes it for gone, unless it has come back;
 * what it served is remembered for as long.
 */
const forget = redisScript(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local at = redis.call('ZSCORE', KEYS[1], ARGV[1])
if at and tonumber(at) > now then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now - ARGV[2]))
redis.call('ZADD', KEYS[2], string.format('%.0f', now), ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
redis.call('PEXPIRE', KEYS[3], ARGV[2])
return 1`)

export interface RedisMembershipOptions {
  readonly redis: RedisConnection
  readonly keys: RedisKeys
  readonly replica: string
  readonly registry: RedisClientRegistry
  readonly log: Log
  readonly times?: LeaseTimes
}

/**
 * Leases in Redis, by Redis' time. A replica buries those whose lease has ended, but only once its own has not
 * broken for as long as a lease lasts: while Redis is away all leases end, and none of the replicas is gone.
 */
export class RedisMembership implements Membership {
  readonly #options: RedisMembershipOptions
  readonly #times: LeaseTimes
  readonly #organizations = new Set<OrganizationId>()
  #events: MembershipEvents | undefined
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #unbrokenSince: number | undefined
  #renewedAt = -Infinity
  /** Redis may have forgotten which organizations this replica serves, and its clients. */
  #mustSayAgain = false

  constructor(options: RedisMembershipOptions) {
    this.#options = options
    this.#times = options.times ?? defaultTimes
  }

  /** Resolves once the lease is there. Rejects with `store-unavailable`; then it may be called again. */
  async enlist(events: MembershipEvents): Promise<Membership> {
    await this.#renew()
    this.#events = events
    this.#timer = setInterval(() => {
      this.#running ??= this.#tick().finally(() => (this.#running = undefined))
    }, this.#times.renewMs)
    this.#timer.unref()
    return this
  }

  /** This replica is about to have clients of that organization. */
  async serves(organization: OrganizationId): Promise<void> {
    if (this.#organizations.has(organization)) return
    await fromRedis(() => this.#options.redis.sadd(this.#ownOrganizations, organization))
    this.#organizations.add(organization)
  }

  /** This replica has no clients of that organization any more, and publishes nothing of it. */
  async leaves(organization: OrganizationId): Promise<void> {
    // Who buries this replica looks for what it could not tell in the organizations it served.
    if (this.#options.registry.hasUnfinished || !this.#organizations.delete(organization)) return
    await fromRedis(() => this.#options.redis.srem(this.#ownOrganizations, organization)).catch(() => {})
  }

  /** True also while this replica can not know it: one that lives may not have said it again yet. */
  async isServedElsewhere(organization: OrganizationId): Promise<boolean> {
    const { redis, keys, replica } = this.#options
    if (!this.#isUnbroken) return true
    const [live, gone] = (await fromRedis(() =>
      around(redis, [keys.replicas, keys.goneReplicas], [rememberedMs]),
    )) as [string[], string[]]
    // Redis has forgotten this one, and so it may have the others.
    if (!live.includes(replica)) return true
    const others = [...live, ...gone].filter((one) => one !== replica)
    const serving = await Promise.all(
      others.map((one) => fromRedis(() => redis.sismember(keys.replicaOrganizations(one), organization))),
    )
    return serving.includes(1) || !this.#isUnbroken
  }

  async live(): Promise<readonly string[]> {
    const { redis, keys } = this.#options
    return (await fromRedis(() => live(redis, [keys.replicas], []))) as string[]
  }

  async close(): Promise<void> {
    const { redis, keys, replica, registry } = this.#options
    clearInterval(this.#timer)
    await this.#running
    // The others find what could not be told when the lease ends.
    if (registry.hasUnfinished) return
    await fromRedis(() => redis.zrem(keys.replicas, replica)).catch(() => {})
    await fromRedis(() => redis.del(this.#ownOrganizations)).catch(() => {})
  }

  async #tick(): Promise<void> {
    try {
      const ended = await this.#renew()
      if (!this.#isUnbroken) return
      for (const replica of ended) await this.#bury(replica)
    } catch (error) {
      this.#options.log.debug(errorFields(error), 'the lease of this replica could not be renewed')
    }
  }

  async #renew(): Promise<string[]> {
    const { redis, keys, replica, log } = this.#options
    const askedAt = performance.now()
    const own = [keys.replicas, keys.goneReplicas, this.#ownOrganizations]
    const [hadLease, ...ended] = (await fromRedis(() =>
      renew(redis, own, [replica, this.#times.leaseMs]),
    )) as string[]
    const isUnbroken = hadLease === '1' && askedAt - this.#renewedAt < this.#times.leaseMs
    this.#renewedAt = askedAt
    if (!isUnbroken) {
      const isFirst = this.#unbrokenSince === undefined
      this.#unbrokenSince = askedAt
      if (!isFirst) log.warn({ replica }, 'the lease of this replica had ended')
      this.#mustSayAgain ||= !isFirst
    }
    if (this.#mustSayAgain) await this.#sayAgain()
    return ended
  }

  /** Until Redis has taken it, it is tried again. */
  async #sayAgain(): Promise<void> {
    const organizations = [...this.#organizations]
    if (organizations.length > 0) {
      await fromRedis(() => this.#options.redis.sadd(this.#ownOrganizations, ...organizations))
    }
    this.#mustSayAgain = false
    this.#events?.lapsed()
  }

  /** Any number of replicas may do it at once, and any of them may go while it does. */
  async #bury(replica: string): Promise<void> {
    const { redis, keys, registry, log } = this.#options
    const names = await fromRedis(() => redis.smembers(keys.replicaOrganizations(replica)))
    for (const name of names) {
      const organization = parseOrganizationId(name)
      if (organization === undefined) continue
      await registry.bury(replica, organization)
      // Most have none, and opening an organization costs more than to ask.
      const groups = `${keys.messaging(organization)}shares`
      if ((await fromRedis(() => redis.exists(groups))) === 1) await this.#events?.gone(replica, organization)
    }
    const its = [keys.replicas, keys.goneReplicas, keys.replicaOrganizations(replica)]
    if ((await fromRedis(() => forget(redis, its, [replica, rememberedMs]))) !== 1) return
    await fromRedis(() => redis.hdel(keys.controlApplied, replica))
    log.info({ replica, organizations: names.length }, 'a replica is gone; its wills are due')
  }

  /** For as long as a lease lasts. */
  get #isUnbroken(): boolean {
    if (this.#mustSayAgain) return false
    return performance.now() - (this.#unbrokenSince ?? Infinity) >= this.#times.leaseMs
  }

  get #ownOrganizations(): string {
    return this.#options.keys.replicaOrganizations(this.#options.replica)
  }
}
