import { createHash } from 'node:crypto'
import type { RedisConnection } from './redis-connection.ts'

/** A Lua script by its digest; its text crosses the network once per Redis. On a Cluster the keys lie in one slot. */
export function redisScript(
  lua: string,
): (
  redis: RedisConnection,
  keys: readonly string[],
  values: readonly (string | number)[],
) => Promise<unknown> {
  const digest = createHash('sha1').update(lua).digest('hex')
  return async (redis, keys, values) => {
    try {
      return await redis.evalsha(digest, keys.length, ...keys, ...values)
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
      return await redis.eval(lua, keys.length, ...keys, ...values)
    }
  }
}
