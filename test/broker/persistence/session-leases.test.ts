import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { RedisPersistence } from '../../../broker/persistence/redis-persistence.ts'
import { type ConnectedRedis, startConnectedRedis } from '../../fixtures/connected-redis.ts'
import { AnnouncerHub } from '../../fixtures/announcer-hub.ts'
import { eventually } from '../../fixtures/eventually.ts'

const owner = { id: 'user:ada/device' }
const times = { leaseMs: 400, tickMs: 100 }

let place: ConnectedRedis
let redis: Redis
const open: RedisPersistence[] = []

beforeAll(async () => {
  place = await startConnectedRedis()
  redis = await place.connection()
})

afterEach(async () => {
  for (const persistence of open.splice(0)) await persistence.destroy()
})

afterAll(async () => {
  await place.stop()
})

async function replica(prefix: string, hub: AnnouncerHub): Promise<RedisPersistence> {
  const persistence = new RedisPersistence(redis, prefix, times)
  open.push(persistence)
  await persistence.setup(hub.join())
  return persistence
}

describe('a session whose client is connected', () => {
  test('lasts longer than its lease and its expiry', async () => {
    const prefix = `cs:{${randomUUID()}}:mq:`
    const persistence = await replica(prefix, new AnnouncerHub())
    await persistence.openSession(owner, false, 0)
    await persistence.addSubscriptions(owner, [{ topic: 'a', qos: 1 }])
    await pause(1_200)
    expect(await persistence.openSession(owner, false, 0)).toMatchObject({
      isPresent: true,
      subscriptions: [{ topic: 'a' }],
    })
  })

  test('ends everywhere a lease after its replica died, and is not kept by one that it was taken from', async () => {
    const prefix = `cs:{${randomUUID()}}:mq:`
    const hub = new AnnouncerHub()
    const [dying, left, alive] = [
      await replica(prefix, hub),
      await replica(prefix, hub),
      await replica(prefix, hub),
    ]
    await left.openSession(owner, false, 0)
    await dying.openSession(owner, false, 0)
    await dying.addSubscriptions(owner, [{ topic: 'a', qos: 1 }])
    await dying.destroy()
    expect(await alive.subscriptionsByTopic('a')).toHaveLength(1)
    await eventually('it has ended', async () => (await alive.subscriptionsByTopic('a')).length === 0, 3_000)
    expect((await redis.keys(`${prefix}*`)).filter((key) => key.includes(owner.id))).toEqual([])
  })
})

describe('a change that nobody told', () => {
  test('is found before long', async () => {
    const prefix = `cs:{${randomUUID()}}:mq:`
    const hub = new AnnouncerHub()
    const [here, there] = [await replica(prefix, hub), await replica(prefix, hub)]
    hub.isCut = true
    await here.openSession(owner, false, 60)
    await here.addSubscriptions(owner, [{ topic: 'a', qos: 1 }])
    await eventually('it is known', async () => (await there.subscriptionsByTopic('a')).length === 1, 3_000)
  })
})
