import { createHash } from 'node:crypto'
import type { Cluster, Redis } from 'ioredis'
import { fromRedis, nodeOf } from '#core/stores/redis-connection.ts'

type Value = string | number | Buffer

/**
 * A Lua script on the keys of one organization, with bytes in and out. It gets the prefix of those keys and
 * builds their names itself: they share a hash tag, so they lie in one slot of a Redis Cluster, and a message
 * for a thousand sessions does not name four thousand keys.
 *
 * `now` is Redis' time in ms. `keepUntil(key, ms)` makes a key live at least that long.
 */
export type LuaScript = (redis: Redis | Cluster, prefix: string, values: readonly Value[]) => Promise<unknown>

const prelude = `
local prefix = ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function whole(number) return string.format('%.0f', number) end
local function keepUntil(key, ms)
  local left = redis.call('PTTL', key)
  if left == -1 or (left >= 0 and now + left < ms) then redis.call('PEXPIREAT', key, whole(ms)) end
end
`

export function luaScript(body: string): LuaScript {
  const lua = prelude + body
  const digest = createHash('sha1').update(lua).digest('hex')
  return (redis, prefix, values) =>
    fromRedis(async () => {
      // One key is named, so that a cluster client finds the slot.
      const parameters = [1, `${prefix}sessions`, prefix, ...values] as const
      const known = knownTo(nodeOf(redis, prefix) ?? redis)
      if (!known.has(digest)) {
        const answer = await redis.callBuffer('EVAL', lua, ...parameters)
        known.add(digest)
        return answer
      }
      try {
        return await redis.callBuffer('EVALSHA', digest, ...parameters)
      } catch (error) {
        if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
        known.delete(digest)
        return await redis.callBuffer('EVAL', lua, ...parameters)
      }
    })
}

/**
 * Digests that the Redis at the other end has answered to. Calling by a digest that it does not know, and then
 * by text, would let later calls overtake earlier ones: messages would change their order.
 */
const digests = new WeakMap<Redis | Cluster, Set<string>>()

function knownTo(redis: Redis | Cluster): Set<string> {
  const known = digests.get(redis)
  if (known !== undefined) return known
  const fresh = new Set<string>()
  digests.set(redis, fresh)
  redis.on('close', () => fresh.clear())
  return fresh
}
