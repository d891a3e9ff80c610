import type { Redis } from 'ioredis'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { RedisKeys } from '#core/stores/redis-keys.ts'
import type { Bus } from '../bus/bus.ts'
import { OrganizationEmitter } from '../bus/organization-emitter.ts'
import { MemoryPersistence } from '../persistence/memory-persistence.ts'
import { RedisPersistence } from '../persistence/redis-persistence.ts'
import type { SessionPersistence } from '../persistence/session-persistence.ts'

/** Where the state of organizations lies: what an organization's broker is made of. */
export interface Cluster {
  readonly replica: string
  persistence(organization: OrganizationId): SessionPersistence
  /** Resolves with the way to the other replicas, open; undefined where there are none. */
  emitter(organization: OrganizationId): Promise<OrganizationEmitter | undefined>
}

/** One process alone; sessions and retained messages live as long as it does. */
export function memoryCluster(): Cluster {
  const persistences = new Map<OrganizationId, SessionPersistence>()
  return {
    replica: 'standalone',
    persistence(organization) {
      const persistence = persistences.get(organization) ?? new MemoryPersistence()
      persistences.set(organization, persistence)
      return persistence
    },
    emitter: async () => undefined,
  }
}

/** Replicas that meet in Redis. */
export function redisCluster(redis: Redis, keys: RedisKeys, bus: Bus): Cluster {
  return {
    replica: bus.replica,
    persistence: (organization) => new RedisPersistence(redis, keys.messaging(organization)),
    async emitter(organization) {
      const emitter = new OrganizationEmitter(bus, organization)
      await emitter.join()
      return emitter
    },
  }
}
