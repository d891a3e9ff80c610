/** What is removed of an organization that is gone, on one Redis and on a Cluster, and when nothing may be. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { silentLog } from '#core/process/logger.ts'
import { redisLocation } from '#core/redis/redis-location.ts'
import { closeRedis, connectRedis, type RedisConnection, untilReady } from '#core/stores/redis-connection.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys, type RedisKeys } from '#core/stores/redis-keys.ts'
import type { Tombstone } from '#core/stores/tombstone.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { RedisRemains } from '../../../broker/deletion/redis-remains.ts'
import {
  anOrganization,
  anOrganizationId as org,
  anotherOrganizationId as other,
} from '../../fixtures/records.ts'
import { startRedisCluster } from '../../fixtures/redis-cluster.ts'
import { startRedisServer } from '../../fixtures/redis-server.ts'

const third: OrganizationId = 'org_zzzzyyyyxxxx'
const count = 3_000

describe.each([
  ['one Redis', startRedisServer],
  ['a Cluster', () => startRedisCluster({ replicasEach: 0 })],
] as const)('on %s', (_where, start) => {
  let place: { readonly url: string; stop(): Promise<unknown> }
  let redis: RedisConnection
  let keys: RedisKeys
  let store: RedisIdentityStore
  let remains: RedisRemains

  beforeAll(async () => {
    place = await start()
    redis = connectRedis(redisLocation(place.url), 'test', silentLog)
    await untilReady(redis, AbortSignal.timeout(10_000))
  })
  afterAll(async () => {
    await closeRedis(redis)
    await place.stop()
  })
  beforeEach(async () => {
    // A prefix with what is special in a pattern.
    keys = redisKeys(`[a-z]*?${randomUUID()}`)
    store = new RedisIdentityStore(redis, keys, { append: async () => '1-0' })
    remains = new RedisRemains(redis, keys)
    for (const organization of [org, other, third]) {
      await store.put('organization', organization, 'organization', anOrganization())
      await fill(organization)
    }
  })

  async function fill(organization: OrganizationId): Promise<void> {
    const names = Array.from(
      { length: count },
      (_, index) => `${keys.messaging(organization)}session:user:a/${index}`,
    )
    await Promise.all(names.map((name) => redis.set(name, 'x')))
    for (const name of ['tmp_1', 'of:sub:a', 'barriers', 'audit:routine']) {
      await redis.set(`${keys.own(organization)}tmp:${name}`, 'x')
    }
  }
  async function bury(organization: OrganizationId): Promise<Tombstone> {
    await store.remove('organization', organization, 'organization')
    return (await store.tombstoneOf(organization)) ?? Promise.reject(new Error('there is no tombstone'))
  }
  async function left(organization: OrganizationId): Promise<number> {
    const names = Array.from(
      { length: count },
      (_, index) => `${keys.messaging(organization)}session:user:a/${index}`,
    )
    const rest = ['tmp_1', 'of:sub:a', 'barriers', 'audit:routine'].map(
      (name) => `${keys.own(organization)}tmp:${name}`,
    )
    const there = await Promise.all([...names, ...rest].map((name) => redis.exists(name)))
    return there.filter((each) => each === 1).length
  }
  async function remove(...tombstones: readonly Tombstone[]): Promise<number> {
    let removed = 0
    for await (const some of remains.remove(tombstones)) removed += some
    return removed
  }

  test('one goes, or several at once, and nobody else', async () => {
    expect(await remove(await bury(org))).toBe(count + 4)
    expect([await left(org), await left(other), await left(third)]).toEqual([0, count + 4, count + 4])
    await fill(org)
    expect(await remove((await store.tombstoneOf(org)) as Tombstone, await bury(other))).toBe(2 * (count + 4))
    expect([await left(org), await left(other), await left(third)]).toEqual([0, 0, count + 4])
  })

  test('of one that retains only what lets somebody in goes', async () => {
    await store.put('organization', org, 'organization', anOrganization({ retain: true }))
    expect(await remove(await bury(org))).toBe(2)
    expect(await redis.exists(keys.credential(org, 'tmp_1'))).toBe(0)
    expect(await redis.exists(keys.barriers(org))).toBe(1)
  })

  test('nothing goes that belongs to one in the place of the former, or under another tombstone', async () => {
    const former = await bury(org)
    await store.put('organization', org, 'organization', anOrganization())
    expect(await remove(former)).toBe(0)
    expect(await left(org)).toBe(count + 4)
    const later = await bury(org)
    expect(await remove(former)).toBe(0)
    expect(await remove(later)).toBe(count + 4)
  })

  test('what is under way stops as soon as there is one in its place', async () => {
    const former = await bury(org)
    let removed = 0
    for await (const some of remains.remove([former])) {
      if (some > 0 && removed === 0) {
        await store.put('organization', org, 'organization', anOrganization())
      }
      removed += some
    }
    expect(removed).toBeGreaterThan(0)
    expect(await left(org)).toBe(count + 4 - removed)
    expect(removed).toBeLessThan(count)
  })
})
