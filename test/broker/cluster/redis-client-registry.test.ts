import type { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { silentLog } from '#core/process/logger.ts'
import { connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { RedisClientRegistry } from '../../../broker/cluster/redis-client-registry.ts'
import { arriveAt, aWill, clientRegistryContract } from '../../contracts/client-registry.ts'
import { type ConnectedRedis, startConnectedRedis } from '../../fixtures/connected-redis.ts'
import { anOrganizationId, anotherOrganizationId } from '../../fixtures/records.ts'
import { startRedisServer } from '../../fixtures/redis-server.ts'

const keys = redisKeys()
const due = `${keys.messaging(anOrganizationId)}clients:due`
let place: ConnectedRedis
let redis: Redis

beforeAll(async () => {
  place = await startConnectedRedis()
  redis = await place.connection()
})

beforeEach(() => redis.flushall())

afterAll(async () => {
  await place.stop()
})

/** Instead of waiting: moves every time that is stored into the past. */
async function advance(ms: number): Promise<void> {
  const sets = [anOrganizationId, anotherOrganizationId].map((one) => `${keys.messaging(one)}clients:due`)
  for (const key of [...sets, keys.willSchedule]) {
    for (const member of await redis.zrange(key, 0, -1)) await redis.zincrby(key, -ms, member)
  }
}

clientRegistryContract(async () => ({
  here: new RedisClientRegistry(redis, keys, 'r1'),
  there: new RedisClientRegistry(redis, keys, 'r2'),
  advance,
}))

describe('who comes and who goes', () => {
  const at = (name: string) => ({
    organization: anOrganizationId,
    id: `user:ada/${name}`,
    isCleanStart: true,
  })
  const isElsewhere = async (registry: RedisClientRegistry, name = 'a'): Promise<boolean> =>
    (await arriveAt(registry, at(name))).isElsewhere

  test('is told whether another replica has the former connection', async () => {
    const one = new RedisClientRegistry(redis, keys, 'r1')
    const two = new RedisClientRegistry(redis, keys, 'r2')
    expect(await isElsewhere(one)).toBe(false)
    expect(await isElsewhere(one)).toBe(false)
    expect(await isElsewhere(two)).toBe(true)
    expect(await isElsewhere(two)).toBe(false)
    const { claim, isElsewhere: isOther } = await arriveAt(one, at('a'))
    expect(isOther).toBe(true)
    await one.leave(claim, { publish: false })
    expect(await isElsewhere(two)).toBe(false)
  })

  test('of two replicas at the same moment one is told of the other', async () => {
    const both = ['r1', 'r2'].map((name) => new RedisClientRegistry(redis, keys, name))
    const told = await Promise.all(both.map((registry) => isElsewhere(registry)))
    expect(told.toSorted()).toEqual([false, true])
  })

  test('has no former connection where only a will is left', async () => {
    const one = new RedisClientRegistry(redis, keys, 'r1')
    const { claim } = await arriveAt(one, { ...at('a'), will: aWill({ delaySeconds: 60 }) })
    await one.leave(claim, { publish: true, atMostSeconds: 60 })
    expect(await isElsewhere(new RedisClientRegistry(redis, keys, 'r2'))).toBe(false)
  })

  test('are one question in one moment, and who goes makes room', async () => {
    const one = new RedisClientRegistry(redis, keys, 'r1')
    const { claim } = await arriveAt(one, at('a'))
    const before = await scriptsRun()
    const [arrived] = await Promise.all([
      one.arrive(at('b'), [], { principal: 1 }),
      one.leave(claim, { publish: false }),
    ])
    expect(arrived).toMatchObject({ claim: {} })
    expect(await one.arrive(at('c'), [], { principal: 1 })).toBe('principal-full')
    expect((await scriptsRun()) - before).toBe(2)
  })
})

async function scriptsRun(): Promise<number> {
  return Number(/cmdstat_evalsha:calls=(\d+)/.exec(await redis.info('commandstats'))?.[1])
}

describe('a replica that is gone', () => {
  const at = (name: string, delaySeconds = 0) => ({
    organization: anOrganizationId,
    id: `user:ada/${name}`,
    isCleanStart: false,
    will: aWill({ delaySeconds }),
  })

  test('counts for nobody any more, also where its wills wait', async () => {
    const [gone, two] = ['r1', 'r2'].map((name) => new RedisClientRegistry(redis, keys, name)) as [
      RedisClientRegistry,
      RedisClientRegistry,
    ]
    const come = (registry: RedisClientRegistry, name: string): ReturnType<typeof gone.arrive> =>
      registry.arrive(at(name, 60), [], { principal: 3 })
    for (const name of ['1', '2', '3']) await come(gone, name)
    expect(await come(two, '4')).toBe('principal-full')
    await two.bury('r1', anOrganizationId)
    await two.bury('r1', anOrganizationId)
    const claims = []
    for (const name of ['4', '5', '6']) claims.push(await come(two, name))
    expect(await come(two, '7')).toBe('principal-full')
    for (const claim of claims) {
      if (typeof claim !== 'string') await two.leave(claim.claim, { publish: false })
    }
    expect(await redis.exists(`${keys.messaging(anOrganizationId)}clients:counts`)).toBe(0)
  })

  test('leaves its wills to the others, each to one of them, and those of the others alone', async () => {
    const [gone, two, three] = ['r1', 'r2', 'r3'].map(
      (name) => new RedisClientRegistry(redis, keys, name),
    ) as [RedisClientRegistry, RedisClientRegistry, RedisClientRegistry]
    for (let index = 0; index < 120; index += 1) await arriveAt(gone, at(`gone ${index}`))
    for (let index = 0; index < 10; index += 1) await arriveAt(two, at(`alive ${index}`))
    await Promise.all([two.bury('r1', anOrganizationId), three.bury('r1', anOrganizationId)])
    await two.bury('r1', anOrganizationId)
    const wills = []
    for (let round = 0; round < 4; round += 1) {
      for (const some of await Promise.all([two.takeDue(), three.takeDue()])) wills.push(...some)
    }
    expect(wills).toHaveLength(120)
    expect(new Set(wills.map(({ id }) => id)).size).toBe(120)
    expect(wills.every(({ id }) => id.startsWith('user:ada/gone'))).toBe(true)
  })

  test('does not shorten the delay of its wills, and going on with the session cancels them', async () => {
    const [gone, two] = [
      new RedisClientRegistry(redis, keys, 'r1'),
      new RedisClientRegistry(redis, keys, 'r2'),
    ]
    for (const name of ['a', 'b']) await arriveAt(gone, at(name, 60))
    await two.bury('r1', anOrganizationId)
    expect(await two.takeDue()).toEqual([])
    expect((await arriveAt(two, at('a', 60))).former).toBeUndefined()
    await advance(61_000)
    expect((await two.takeDue()).map(({ id }) => id)).toEqual(['user:ada/b'])
  })

  test('does not take with it a will that it was publishing', async () => {
    const [gone, two] = [
      new RedisClientRegistry(redis, keys, 'r1'),
      new RedisClientRegistry(redis, keys, 'r2'),
    ]
    const { claim } = await arriveAt(gone, at('a'))
    expect(await gone.leave(claim, { publish: true, atMostSeconds: 0 })).toMatchObject({ attempts: 1 })
    await two.bury('r1', anOrganizationId)
    expect(await two.takeDue()).toMatchObject([{ id: 'user:ada/a', attempts: 2 }])
  })

  test('that was only silent takes its wills back as long as nobody has published them', async () => {
    const [silent, two] = [
      new RedisClientRegistry(redis, keys, 'r1'),
      new RedisClientRegistry(redis, keys, 'r2'),
    ]
    const { claim } = await arriveAt(silent, at('a'))
    await two.bury('r1', anOrganizationId)
    expect(await silent.confirm(claim)).toBe(true)
    expect(await two.takeDue()).toEqual([])
    expect(await silent.leave(claim, { publish: true, atMostSeconds: 0 })).toMatchObject({ will: aWill() })
  })

  test('leaves no claim behind', async () => {
    const [gone, two] = [
      new RedisClientRegistry(redis, keys, 'r1'),
      new RedisClientRegistry(redis, keys, 'r2'),
    ]
    for (let index = 0; index < 500; index += 1) {
      await arriveAt(gone, { organization: anOrganizationId, id: `user:ada/${index}`, isCleanStart: true })
    }
    await arriveAt(two, at('kept'))
    await two.bury('r1', anOrganizationId)
    expect(await redis.hkeys(`${keys.messaging(anOrganizationId)}clients:owners`)).toEqual(['user:ada/kept'])
  })
})

test('a will that was damaged in the store is handed out as such, and harms no other', async () => {
  const registry = new RedisClientRegistry(redis, keys, 'r1')
  const wills = `${keys.messaging(anOrganizationId)}clients:wills`
  await redis.hset(wills, '1 a', '0 0 r1 {"topic":', '2 b', 'nonsense')
  await redis.zadd(due, 1, '1 a', 2, '2 b', 3, '3 missing')
  await redis.zadd(keys.willSchedule, 1, anOrganizationId)
  expect(await registry.takeDue()).toMatchObject([{ id: 'a', epoch: 1, will: undefined }])
  expect(await redis.hkeys(wills)).toEqual(['1 a'])
})

test('what Redis did not take is told again, and its will comes out then', async () => {
  const own = await startRedisServer()
  const connection = connectRedis(own.url, 'test', silentLog)
  await untilReady(connection, AbortSignal.timeout(10_000))
  const registry = new RedisClientRegistry(connection, keys, 'r1')
  const will = aWill()
  const arrival = { organization: anOrganizationId, id: 'user:ada/a', isCleanStart: true, will }
  const { claim } = await arriveAt(registry, arrival)
  await own.kill()
  expect(await registry.leave(claim, { publish: true, atMostSeconds: 0 })).toBeUndefined()
  expect(registry.hasUnfinished).toBe(true)
  await own.start()
  await untilReady(connection, AbortSignal.timeout(10_000))
  await registry.confirm(claim)
  expect(await registry.takeDue()).toMatchObject([{ id: 'user:ada/a', will }])
  expect(registry.hasUnfinished).toBe(false)
  connection.disconnect()
  await own.stop()
})
