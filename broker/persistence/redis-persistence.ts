import AsyncRedisPersistence from 'aedes-persistence-redis/asyncPersistence.js'
import type { Redis } from 'ioredis'
import { prefixedRedis } from './prefixed-redis.ts'
import type { SessionOwner, StoredSubscription } from './session-persistence.ts'

/** Longest that a queued message waits, in seconds; a queue whose client never returns does not stay for ever. */
const queuedMessageTtl = 86_400

/** Sessions, queues and retained messages of one organization in Redis, under its own prefix. */
export class RedisPersistence extends AsyncRedisPersistence {
  constructor(redis: Redis, prefix: string) {
    super({ conn: prefixedRedis(redis, prefix), packetTTL: () => queuedMessageTtl })
  }

  /** Nothing to store is nothing to wait for: the package would wait for its own announcement of it. */
  override async addSubscriptions(
    owner: SessionOwner,
    subscriptions: readonly StoredSubscription[],
  ): Promise<unknown> {
    return subscriptions.length === 0 ? undefined : super.addSubscriptions(owner, subscriptions)
  }

  override async removeSubscriptions(owner: SessionOwner, filters: readonly string[]): Promise<unknown> {
    return filters.length === 0 ? undefined : super.removeSubscriptions(owner, filters)
  }
}
