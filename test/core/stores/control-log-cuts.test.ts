import type { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ControlLogSubscription } from '#core/stores/control-log.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { type RedisKeys, redisKeys } from '#core/stores/redis-keys.ts'
import { type ConnectedRedis, startConnectedRedis } from '../../fixtures/connected-redis.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { anOrganizationId as organization } from '../../fixtures/records.ts'
import { type SeverableWay, startSeverableWay } from '../../fixtures/severable-way.ts'

const far = 60_000
let place: ConnectedRedis
let way: SeverableWay
let redis: Redis
let keys: RedisKeys
let log: RedisControlLog
const open: ControlLogSubscription[] = []

beforeAll(async () => {
  place = await startConnectedRedis()
  redis = await place.connection()
  way = await startSeverableWay(place.server.port)
})
beforeEach(async () => {
  await redis.flushall()
  keys = redisKeys()
  log = new RedisControlLog(redis, keys)
})
afterEach(async () => {
  way.mend()
  await Promise.all(open.splice(0).map((subscription) => subscription.close()))
})
afterAll(async () => {
  way.stop()
  await place.stop()
})

interface Follower {
  /** Names of entries, and `gap`, as they came. */
  readonly heard: string[]
  readonly subscription: ControlLogSubscription
}

/** A replica that lives, and whose way to Redis can be cut. */
async function follow(replica: string): Promise<Follower> {
  await redis.zadd(keys.replicas, Date.now() + far, replica)
  const heard: string[] = []
  const own = await place.connection(way.url)
  const subscription = await new RedisControlLog(own, keys).follow(
    { entry: async ({ name }) => heard.push(name), gap: async () => heard.push('gap') },
    replica,
  )
  open.push(subscription)
  return { heard, subscription }
}

const append = (name: string): Promise<string> => log.append({ type: 'user', organization, name })
const missing = async (position: string, ms = 5_000): Promise<readonly string[]> =>
  (await log.applied([position], ms)).missing

describe('a replica that was cut off', () => {
  test('hears in order what was appended meanwhile, and nothing twice', async () => {
    const { heard } = await follow('r1')
    await missing(await append('before'))
    way.cut()
    const position = [await append('one'), await append('two')].at(-1) ?? ''
    expect(await missing(position, 100)).toEqual(['r1'])
    way.mend()
    expect(await missing(position)).toEqual([])
    await missing(await append('after'))
    expect(heard).toEqual(['before', 'one', 'two', 'after'])
  })

  test('hears that it missed something where the log was trimmed past it, and then what is left', async () => {
    const { heard } = await follow('r1')
    await missing(await append('before'))
    way.cut()
    await append('lost')
    const position = await append('left')
    await redis.xtrim(keys.control, 'MAXLEN', 1)
    way.mend()
    expect(await missing(position)).toEqual([])
    expect(heard).toEqual(['before', 'gap', 'left'])
  })

  test('hears that it missed something where all of the log was trimmed', async () => {
    const { heard } = await follow('r1')
    await missing(await append('before'))
    way.cut()
    const position = await append('lost')
    await redis.xtrim(keys.control, 'MAXLEN', 0)
    way.mend()
    expect(await missing(position)).toEqual([])
    await missing(await append('after'))
    expect(heard).toEqual(['before', 'gap', 'after'])
  })
})

describe('a replica that starts', () => {
  test('while others live hears only what comes after it', async () => {
    await follow('r1')
    await missing(await append('before'))
    const { heard } = await follow('r2')
    await missing(await append('after'))
    expect(heard).toEqual(['after'])
  })

  test('after all had gone hears what none of them had done', async () => {
    const { subscription } = await follow('r1')
    await missing(await append('done'))
    await subscription.close()
    await append('one')
    const position = await append('two')
    const { heard } = await follow('r2')
    await eventually('it has read to the end', () => heard.includes('two'))
    expect(await missing(position, 0)).toEqual(['r1'])
    expect(heard).toEqual(['one', 'two'])
  })

  test('after all had gone hears of a gap where what none had done is not there any more', async () => {
    const { subscription } = await follow('r1')
    await missing(await append('done'))
    await subscription.close()
    await append('lost')
    await append('left')
    await redis.xtrim(keys.control, 'MAXLEN', 1)
    const { heard } = await follow('r2')
    await eventually('it has read to the end', () => heard.includes('left'))
    expect(heard).toEqual(['gap', 'left'])
  })
})
