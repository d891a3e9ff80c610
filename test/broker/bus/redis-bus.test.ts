import type { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { silentLog } from '#core/process/logger.ts'
import { connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import type { RoutedMessage } from '../../../broker/aedes/messages.ts'
import { RedisBus } from '../../../broker/bus/redis-bus.ts'
import { aRoutedMessage, type BusReplicas, startBusReplicas } from '../../fixtures/bus-replicas.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { anOrganizationId, anotherOrganizationId } from '../../fixtures/records.ts'
import { startRedisServer } from '../../fixtures/redis-server.ts'

let replicas: BusReplicas

beforeAll(async () => {
  replicas = await startBusReplicas()
})

afterAll(() => replicas.stop())

async function replica(onForeignData: () => void = () => {}): Promise<RedisBus> {
  const metrics = { foreignData: onForeignData, interrupted() {}, asked() {}, lost() {} }
  return (await replicas.replica({ metrics })).bus
}

const message = (topic: string): RoutedMessage => aRoutedMessage({ topic })

async function follow(bus: RedisBus, organization = anOrganizationId): Promise<string[]> {
  const topics: string[] = []
  await bus.join(organization, ({ topic }) => topics.push(topic))
  return topics
}

describe('between replicas', () => {
  test('messages arrive in order, at all others, and not at their sender', async () => {
    const [one, two, three] = [await replica(), await replica(), await replica()]
    const own = await follow(one)
    const [second, third] = [await follow(two), await follow(three)]
    const topics = Array.from({ length: 300 }, (_, index) => `t/${index}`)
    for (const topic of topics.slice(0, 150)) void one.send(anOrganizationId, message(topic))
    for (const topic of topics.slice(150)) await one.send(anOrganizationId, message(topic))
    await eventually('all have arrived', () => second.length === 300 && third.length === 300)
    expect(second).toEqual(topics)
    expect(third).toEqual(topics)
    expect(own).toEqual([])
  })

  test('those of another organization do not arrive, nor any after leaving', async () => {
    const [one, two] = [await replica(), await replica()]
    const seen: string[] = []
    const leave = await two.join(anOrganizationId, ({ topic }) => seen.push(topic))
    await one.send(anotherOrganizationId, message('foreign'))
    await one.send(anOrganizationId, message('own'))
    await eventually('its own arrives', () => seen.length === 1)
    leave()
    await one.send(anOrganizationId, message('late'))
    const again = await follow(two)
    await one.send(anOrganizationId, message('again'))
    await eventually('it arrives after joining again', () => again.length === 1)
    expect(seen).toEqual(['own'])
  })

  test('leaving an old place does not end a newer one', async () => {
    const [one, two] = [await replica(), await replica()]
    const leave = await two.join(anOrganizationId, () => {})
    const seen = await follow(two)
    leave()
    await one.send(anOrganizationId, message('kept'))
    await eventually('it arrives', () => seen.length === 1)
  })

  test('foreign data on a channel is counted and harms nothing', async () => {
    let foreign = 0
    const [one, two] = [await replica(), await replica(() => (foreign += 1))]
    const seen = await follow(two)
    const raw = await replicas.connection()
    for (const data of ['', 'hello', Buffer.from([0x43, 0x53, 1, 2, 3]), Buffer.alloc(1_000, 0xff)]) {
      await raw.publish(`${redisKeys().messaging(anOrganizationId)}bus`, data)
    }
    await one.send(anOrganizationId, message('after'))
    await eventually('what follows arrives', () => seen.length === 1)
    expect(foreign).toBe(4)
  })

  test('sending while Redis is away rejects', async () => {
    const own = await startRedisServer()
    const [redis, subscriber] = ['a', 'b'].map((name) => connectRedis(own.url, name, silentLog)) as [
      Redis,
      Redis,
    ]
    await untilReady(redis, AbortSignal.timeout(10_000))
    const bus = new RedisBus({
      publisher: redis,
      subscriber,
      keys: redisKeys(),
      log: silentLog,
    })
    await own.kill()
    await expect(bus.send(anOrganizationId, message('lost'))).rejects.toMatchObject({
      code: 'store-unavailable',
    })
    bus.close()
    for (const each of [redis, subscriber]) each.disconnect()
    await own.stop()
  })
})
