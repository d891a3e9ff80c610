import type { Redis } from 'ioredis'
import { type Clock, systemClock } from '#core/clock.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { Log } from '#core/process/logger.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import { nodeWith, type RedisConnection } from '#core/stores/redis-connection.ts'
import type { RedisKeys } from '#core/stores/redis-keys.ts'
import { RedisSessionDirectory } from '#core/stores/redis-session-directory.ts'
import type { SessionDirectory } from '#core/stores/session-directory.ts'
import type { Tombstone } from '#core/stores/tombstone.ts'
import type { Bus, Lost } from '../bus/bus.ts'
import { noOtherReplica } from '../bus/no-other-replica.ts'
import { OrganizationEmitter } from '../bus/organization-emitter.ts'
import type { ClientRegistry } from '../cluster/client-registry.ts'
import { MemoryClientRegistry } from '../cluster/memory-client-registry.ts'
import type { Membership, MembershipEvents } from '../cluster/membership.ts'
import { RedisClientRegistry } from '../cluster/redis-client-registry.ts'
import { RedisMembership } from '../cluster/redis-membership.ts'
import { RedisRemains } from '../deletion/redis-remains.ts'
import type { Remains } from '../deletion/remains.ts'
import { MemoryPersistence } from '../persistence/memory-persistence.ts'
import { MemorySessionDirectory } from './memory-session-directory.ts'
import { RedisPersistence } from '../persistence/redis-persistence.ts'
import { ReplicatedWrites } from '../persistence/replicated-writes.ts'
import type { SessionPersistence } from '../persistence/session-persistence.ts'

/** Where the state of organizations lies: what an organization's broker is made of. */
export interface Cluster {
  readonly replica: string
  persistence(organization: OrganizationId): SessionPersistence
  /** Resolves with what delivers here and to the other replicas, open. */
  emitter(organization: OrganizationId, lost: Lost): Promise<OrganizationEmitter>
  /** All that was opened of the organization is closed, and nothing is being opened. Never rejects. */
  closed(organization: OrganizationId): Promise<void>
  /** Who is connected, and whose session waits. */
  readonly sessions: SessionDirectory
  /** Clients of all replicas, and their wills. */
  readonly clients: ClientRegistry
  /** What organizations that are gone have left. */
  readonly remains: Remains
  /** Takes a place among the replicas. Rejects with `store-unavailable`; then it may be called again. */
  enlist(events: MembershipEvents): Promise<Membership>
}

/** Where this process keeps what does not belong to the broker. */
export interface MemoryRecords {
  readonly identities: Pick<IdentityReader, 'tombstoneOf'>
  /** Of an organization that is gone. */
  forgetCredentials(tombstone: Tombstone): void
}

/** One process alone; sessions and retained messages live as long as it does. Without records nothing is ever gone. */
export function memoryCluster(now: Clock = systemClock, records?: MemoryRecords): Cluster {
  const persistences = new Map<OrganizationId, MemoryPersistence>()
  const clients = new MemoryClientRegistry(now)
  return {
    replica: noOtherReplica.replica,
    sessions: new MemorySessionDirectory(noOtherReplica.replica, clients, persistences),
    persistence(organization) {
      const persistence = persistences.get(organization) ?? new MemoryPersistence()
      persistences.set(organization, persistence)
      return persistence
    },
    emitter: async (organization, lost) => new OrganizationEmitter(noOtherReplica, organization, lost),
    closed: async () => {},
    clients,
    remains: {
      async *remove(tombstones) {
        for (const tombstone of tombstones) {
          const { organization, id, retains } = tombstone
          if ((await records?.identities.tombstoneOf(organization))?.id !== id) continue
          records?.forgetCredentials(tombstone)
          if (!retains) {
            await persistences.get(organization)?.forgetAll()
            clients.forgetAll(organization)
          }
          yield 1
        }
      },
    },
    enlist: async () => ({ live: async () => [noOtherReplica.replica], close: async () => {} }),
  }
}

/** Replicas that meet in Redis. `replicated` is a connection that nothing else is done with. */
export function redisCluster(
  redis: RedisConnection,
  replicated: RedisConnection,
  keys: RedisKeys,
  bus: Bus,
  log: Log,
): Cluster {
  const { replica } = bus
  const clients = new RedisClientRegistry(redis, keys, replica)
  const membership = new RedisMembership({ redis, keys, replica, registry: clients, log })
  const writesOf = replicatedWrites(replicated, log)
  return {
    replica,
    clients,
    remains: new RedisRemains(redis, keys),
    sessions: new RedisSessionDirectory(redis, keys),
    enlist: (events) => membership.enlist(events),
    persistence: (organization) =>
      new RedisPersistence(redis, keys.messaging(organization), {
        replica,
        replicated: writesOf(keys.messaging(organization)),
      }),
    async emitter(organization, lost) {
      await membership.serves(organization)
      const emitter = new OrganizationEmitter(bus, organization, lost)
      await emitter.join(() => membership.isServedElsewhere(organization))
      return emitter
    },
    closed: (organization) => membership.leaves(organization),
  }
}

/** By the prefix of an organization. On a Cluster each node has its own: WAIT answers for one connection. */
function replicatedWrites(
  redis: RedisConnection,
  log: Log,
): (prefix: string) => Pick<ReplicatedWrites, 'run'> {
  const byNode = new WeakMap<Redis, ReplicatedWrites>()
  return (prefix) => ({
    async run(promised) {
      const node = nodeWith(redis, prefix)
      const writes = byNode.get(node) ?? new ReplicatedWrites(node, log)
      byNode.set(node, writes)
      return writes.run(promised)
    },
  })
}
