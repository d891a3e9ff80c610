import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { bucketOf, type RateLimit, type RateLimiter, type RateVerdict } from './rate-limiter.ts'
import { fromRedis, type RedisConnection } from './redis-connection.ts'
import type { RedisKeys } from './redis-keys.ts'
import { redisScript } from './redis-script.ts'

/** Lua: when a bucket is full, how long until one is there, and taking it. Times in microseconds. */
export const bucketLua = `
local minute = 60000000
local function micros() local time = redis.call('TIME'); return time[1] * 1000000 + time[2] end
local function full_at(bucket, now) return math.max(tonumber(redis.call('GET', bucket) or 0), now) end
local function wait_for(full, rate, now, count)
  local over = full + count * minute / rate - minute - now
  -- Sums of fractions are a little off.
  return over > 1 and math.ceil(over) or 0
end
local function take(bucket, full, rate, now, count)
  full = full + count * minute / rate
  redis.call('SET', bucket, string.format('%.3f', full), 'PX', math.max(1, math.ceil((full - now) / 1000)))
  return full
end`

/**
 * Keys: buckets; each holds when it is full again and expires then. Values: how many a minute, of each; then how many to take. The answer: how
 * long to wait; then of each what is left and when it is full.
 */
const takeFromAll = redisScript(`${bucketLua}
local now, wait, full = micros(), 0, {}
for i, bucket in ipairs(KEYS) do
  full[i] = full_at(bucket, now)
  wait = math.max(wait, wait_for(full[i], ARGV[i], now, ARGV[#KEYS + i]))
end
local answer = { wait }
for i, bucket in ipairs(KEYS) do
  if wait == 0 then full[i] = take(bucket, full[i], ARGV[i], now, ARGV[#KEYS + i]) end
  answer[#answer + 1] = math.floor((minute - (full[i] - now) + 1) * ARGV[i] / minute)
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
    const keys = limits.map((limit) => this.#keys.rate(organization, bucketOf(limit)))
    const values = [...limits.map(({ perMinute }) => perMinute), ...limits.map(({ count = 1 }) => count)]
    const answer = (await fromRedis(() => takeFromAll(this.#redis, keys, values))) as readonly number[]
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
