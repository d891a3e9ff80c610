import type { OrganizationRecord } from '#core/organizations/organization-record.ts'
import { silentLog } from '#core/process/logger.ts'
import { redisLocation } from '#core/redis/redis-location.ts'
import { connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { type Replica, startReplica } from '../test/fixtures/broker-process.ts'
import { makeCertificate } from '../test/fixtures/certificates.ts'
import { anOrganizationId, anotherOrganizationId } from '../test/fixtures/records.ts'
import { type RedisServer, startRedisServer } from '../test/fixtures/redis-server.ts'
import { putOrganization } from '../test/fixtures/stored-users.ts'

/** Replicas of the broker as processes, on a Redis; two organizations, each with the users `ada` and `bob`. */
export interface Stage {
  readonly redis: RedisServer
  /** Where clients go: what serves now, and what is meant to. */
  readonly replicas: Replica[]
  readonly certificate: string
  readonly urls: () => string[]
  /** Starts one more, which is in `replicas` once it serves. */
  add(settings?: Readonly<Record<string, string>>): Promise<Replica>
  /** Takes it out of `replicas`. */
  remove(replica: Replica): void
  stop(): Promise<void>
}

export interface Place {
  readonly redis: RedisServer
  /** By which the replicas reach it. */
  readonly url: string
  readonly organization?: Partial<OrganizationRecord>
  stop(): Promise<unknown>
}

const replicaCount = 2

export async function startStage(startPlace: () => Promise<Place> = onOneRedis): Promise<Stage> {
  const [place, certificate] = await Promise.all([startPlace(), makeCertificate()])
  const replicas: Replica[] = []
  const started: Replica[] = []
  const stop = async (): Promise<void> => {
    await Promise.all(started.map(({ program }) => program.kill()))
    await Promise.all([place.stop(), certificate.remove()])
  }
  const add = async (settings: Readonly<Record<string, string>> = {}): Promise<Replica> => {
    const replica = await startReplica(place.url, certificate, settings)
    started.push(replica)
    replicas.push(replica)
    return replica
  }
  try {
    await fill(place)
    await Promise.all(Array.from({ length: replicaCount }, () => add()))
  } catch (error) {
    await stop()
    throw error
  }
  return {
    redis: place.redis,
    replicas,
    certificate: certificate.cert,
    urls: () => replicas.map(({ mqtts }) => `mqtts://127.0.0.1:${mqtts}`),
    add,
    remove: (replica) => void replicas.splice(replicas.indexOf(replica), 1),
    stop,
  }
}

async function onOneRedis(): Promise<Place> {
  const redis = await startRedisServer('--appendonly', 'yes')
  return { redis, url: redis.url, stop: redis.stop }
}

async function fill({ url, organization: over = {} }: Place): Promise<void> {
  const redis = connectRedis(redisLocation(url), 'faults', silentLog)
  await untilReady(redis, AbortSignal.timeout(20_000))
  const keys = redisKeys()
  const identities = new RedisIdentityStore(redis, keys, new RedisControlLog(redis, keys))
  for (const organization of [anOrganizationId, anotherOrganizationId]) {
    await putOrganization(identities, ['ada', 'bob'], organization, over)
  }
  await identities.markReady()
  redis.disconnect()
}
