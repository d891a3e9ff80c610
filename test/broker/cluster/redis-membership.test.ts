import { setTimeout as pause } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { silentLog } from '#core/process/logger.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import type { Membership } from '../../../broker/cluster/membership.ts'
import { RedisClientRegistry } from '../../../broker/cluster/redis-client-registry.ts'
import { RedisMembership } from '../../../broker/cluster/redis-membership.ts'
import { arriveAt, aWill } from '../../contracts/client-registry.ts'
import { type ConnectedRedis, startConnectedRedis } from '../../fixtures/connected-redis.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { anOrganizationId } from '../../fixtures/records.ts'

const keys = redisKeys()
const times = { leaseMs: 600, renewMs: 100 }
let place: ConnectedRedis
let control: Redis
let members: Member[]

interface Member {
  readonly redis: Redis
  readonly registry: RedisClientRegistry
  readonly membership: Membership
  readonly lapses: () => number
}

beforeEach(async () => {
  place = await startConnectedRedis('--appendonly', 'yes')
  members = []
  control = await place.connection()
})

afterEach(async () => {
  for (const { membership } of members) await membership.close()
  await place.stop()
})

async function join(replica: string): Promise<Member> {
  const redis = await place.connection()
  const registry = new RedisClientRegistry(redis, keys, replica)
  const options = { redis, keys, replica, registry, log: silentLog, times }
  const membership = new RedisMembership(options)
  let lapses = 0
  await membership.serves(anOrganizationId)
  await membership.enlist({ lapsed: () => (lapses += 1), gone: async () => {} })
  const member = { redis, registry, membership, lapses: () => lapses }
  members.push(member)
  return member
}

const arrive = ({ registry }: Member, name: string): Promise<unknown> =>
  arriveAt(registry, {
    organization: anOrganizationId,
    id: `user:ada/${name}`,
    isCleanStart: true,
    will: aWill(),
  })

const due = async ({ registry }: Member): Promise<string[]> => (await registry.takeDue()).map(({ id }) => id)

test('replicas see each other for as long as they live', async () => {
  const [one, two] = [await join('r1'), await join('r2')]
  expect([...(await one.membership.live())].sort()).toEqual(['r1', 'r2'])
  await two.membership.close()
  expect(await one.membership.live()).toEqual(['r1'])
  const three = await join('r3')
  three.redis.disconnect()
  await eventually('its lease ends', async () => (await one.membership.live()).length === 1)
})

test('the wills of one that is gone are due once its lease has ended, and its traces go', async () => {
  const [one, two] = [await join('r1'), await join('r2')]
  await arrive(one, 'a')
  await arrive(two, 'b')
  one.redis.disconnect()
  await pause(300)
  expect(await due(two)).toEqual([])
  await eventually('it is due', async () => (await due(two)).includes('user:ada/a'))
  await eventually('it is forgotten', async () => (await control.zcard(keys.replicas)) === 1)
  // Not at once: it may have been cut off, and ask for what it missed.
  expect(await control.ttl(keys.replicaOrganizations('r1'))).toBeGreaterThan(0)
  expect(await control.ttl(keys.goneReplicas)).toBeGreaterThan(0)
  await pause(1_000)
  expect(await due(two)).toEqual([])
})

test('an orderly end leaves nothing to clean up', async () => {
  const [one, two] = [await join('r1'), await join('r2')]
  await one.membership.close()
  await two.membership.close()
  expect(await control.keys('*mq:*')).toEqual([])
})

test('nobody takes anybody for gone because Redis was away, and all say again what they have', async () => {
  const [one, two] = [await join('r1'), await join('r2')]
  await arrive(one, 'a')
  await arrive(two, 'b')
  await pause(1_000)
  await place.server.kill()
  await pause(1_500)
  await place.server.start()
  await eventually('both notice', () => one.lapses() > 0 && two.lapses() > 0)
  await pause(1_500)
  expect([...(await due(one)), ...(await due(two))]).toEqual([])
  expect([one.lapses(), two.lapses()]).toEqual([1, 1])
})

test('one that comes to a store full of live clients harms none of them', async () => {
  const one = await join('r1')
  await arrive(one, 'a')
  const two = await join('r2')
  await pause(1_500)
  expect([...(await due(one)), ...(await due(two))]).toEqual([])
})

test('a store that was emptied is filled again', async () => {
  const one = await join('r1')
  await control.flushall()
  await eventually('it notices', () => one.lapses() === 1)
  expect(await one.membership.live()).toEqual(['r1'])
  expect(await control.smembers(keys.replicaOrganizations('r1'))).toEqual([anOrganizationId])
})
