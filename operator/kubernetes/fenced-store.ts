import { isDomainError } from '#core/errors.ts'
import type { RedisConnection } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import type { RedisKeys } from '#core/stores/redis-keys.ts'
import type { Leadership as Election } from '../runtime/leader-election.ts'

/**
 * The store of one term of leadership. What it writes is refused once a leader of a later term has taken over: a
 * process that hung, and does not know yet that another leads, changes nothing. Where Redis knows a later term than
 * the Lease, because that was made anew, whoever holds the Lease now gets a term above it.
 */
export function fencedStore(
  redis: RedisConnection,
  keys: RedisKeys,
  election: Pick<Election, 'term' | 'raiseTerm'>,
): { readonly store: RedisIdentityStore; readonly takeOver: () => Promise<void> } {
  let { term } = election
  const store = new RedisIdentityStore(redis, keys, new RedisControlLog(redis, keys), () => term)
  return {
    store,
    async takeOver() {
      try {
        await store.takeOver()
      } catch (error) {
        if (!isDomainError(error, 'superseded') || typeof error.cause !== 'number') throw error
        term = await election.raiseTerm(error.cause)
        await store.takeOver()
      }
    },
  }
}
