import type { Redis } from 'ioredis'

/**
 * The commands that aedes-persistence-redis uses, with a prefix before every key. Explicitly, command by
 * command: ioredis' `keyPrefix` on a shared connection writes one organization's keys under another's prefix.
 */
export function prefixedRedis(redis: Redis, prefix: string): object {
  const key = (name: string): string => prefix + name
  return {
    getBuffer: (name: string) => redis.getBuffer(key(name)),
    set: (name: string, value: Buffer, ...options: [] | ['EX', number]) =>
      options.length === 0 ? redis.set(key(name), value) : redis.set(key(name), value, 'EX', options[1]),
    setBuffer: (name: string, value: Buffer) => redis.set(key(name), value),
    mset: (...pairs: (string | Buffer | number)[]) =>
      redis.mset(pairs.map((part, index) => (index % 2 === 0 ? key(String(part)) : part))),
    del: (...names: string[]) => redis.del(...names.map(key)),
    exists: (name: string) => redis.exists(key(name)),
    expire: (name: string, seconds: number) => redis.expire(key(name), seconds),
    decr: (name: string) => redis.decr(key(name)),
    hset: (name: string, field: string | number, value: Buffer) => redis.hset(key(name), field, value),
    hmsetBuffer: (name: string, values: Record<string, Buffer>) => redis.hset(key(name), values),
    hgetBuffer: (name: string, field: string) => redis.hgetBuffer(key(name), String(field)),
    hgetallBuffer: (name: string) => redis.hgetallBuffer(key(name)),
    hdel: (name: string, fields: string | number | string[]) =>
      redis.hdel(key(name), ...[fields].flat().map(String)),
    hscanBufferStream: (name: string, options: object) => redis.hscanBufferStream(key(name), options),
    rpush: (name: string, value: string) => redis.rpush(key(name), value),
    lrem: (name: string, count: number, value: string) =>
      // Not awaited by the package in one place: a rejection there would be nobody's.
      redis.lrem(key(name), count, value ?? '').catch(() => 0),
    lrange: (name: string, first: number, last: number) => redis.lrange(key(name), first, last),
    sadd: (name: string, member: string) => redis.sadd(key(name), member),
    srem: (name: string, member: string) => redis.srem(key(name), member),
    scard: (name: string) => redis.scard(key(name)),
    smembers: (name: string) => redis.smembers(key(name)),
    /** The connection is shared: it is closed by who opened it. */
    disconnect: () => {},
  }
}
