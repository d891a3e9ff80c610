import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { RateLimit, RateLimiter, RateVerdict } from './rate-limiter.ts'
import { fromRedis, type RedisConnection } from './redis-connection.ts'
import type { RedisKeys } from './redis-keys.ts'
import { redisScript } from './redis-script.ts'

/**
 * Keys: buckets; each holds when it is full again, in microseconds of Redis' clock, and expires then. Values: how many
 * a minute, of each. The answer, in microseconds: how long to wait; then of each what is left and when it is full.
 */
const takeFromAll = redisScript(`
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local minute, wait, full = 60000000, 0, {}
for i, key in ipairs(KEYS) do
  full[i] = math.max(tonumber(redis.call('GET', key) or 0), now)
  local over = full[i] + minute / ARGV[i] - minute - now
  if over > 1 then wait = math.max(wait, over) end
end
local answer = { math.ceil(wait) }
for i, key in ipairs(KEYS) do
  local step = minute / ARGV[i]
  if wait == 0 then
    full[i] = full[i] + step
    redis.call('SET', key, string.format('%.3f', full[i]), 'PX', math.ceil((full[i] - now) / 1000))
  end
  answer[#answer + 1] = math.floor((minute - (full[i] - now) + 1) / step)
  answer[#answer + 1] = math.ceil(full[i] - now)
end
return answer`)

/** The same contract for all replicas together. */
export class RedisRateLimiter implements RateLimiter {
  readonly #redis: RedisConnection
  readonly #keys: RedisKeys

  constructor(redis: RedisConnection, keys: RedisKeys) {
    this.#redis = redis
    this.#keys = keys
  }

  async take(organization: OrganizationId | undefined, limits: readonly RateLimit[]): Promise<RateVerdict> {
    const keys = limits.map(({ name, of }) => this.#keys.rate(organization, `${name}:${of}`))
    const rates = limits.map(({ perMinute }) => perMinute)
    const answer = (await fromRedis(() => takeFromAll(this.#redis, keys, rates))) as readonly number[]
    const [waitUs = 0] = answer
    return {
      waitMs: waitUs / 1000,
      left: limits.map((_, index) => ({
        remaining: answer[1 + 2 * index] ?? 0,
        fullInMs: (answer[2 + 2 * index] ?? 0) / 1000,
      })),
    }
  }
}
