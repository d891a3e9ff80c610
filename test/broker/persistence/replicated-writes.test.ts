import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { silentLog } from '#core/process/logger.ts'
import { connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { RedisPersistence } from '../../../broker/persistence/redis-persistence.ts'
import { ReplicatedWrites } from '../../../broker/persistence/replicated-writes.ts'
import { defaultPersistenceLimits } from '../../../broker/persistence/session-persistence.ts'
import { AnnouncerHub } from '../../fixtures/announcer-hub.ts'
import { aMessage } from '../../fixtures/messages.ts'
import { startReplicaOf } from '../../fixtures/redis-replica.ts'
import { type RedisServer, startRedisServer } from '../../fixtures/redis-server.ts'

const owner = { id: 'user:ada/device' }
const unavailable = { code: 'store-unavailable' }

let master: RedisServer
let replica: RedisServer
let copy: Redis
let redis: Redis
let own: Redis
let writes: ReplicatedWrites
const warnings: string[] = []
const log = {
  ...silentLog,
  warn: (_: object, message: string) => void warnings.push(message),
  info: (_: object, message: string) => void warnings.push(message),
}
const open: RedisPersistence[] = []

beforeAll(async () => {
  master = await startRedisServer()
  replica = await startReplicaOf(master)
  copy = new Redis(replica.url)
  ;[redis, own] = [connectRedis(master.url, 'test', silentLog), connectRedis(master.url, 'test', silentLog)]
  for (const each of [redis, own]) await untilReady(each, AbortSignal.timeout(10_000))
  writes = new ReplicatedWrites(own, log)
})

afterEach(async () => {
  replica.resume()
  for (const persistence of open.splice(0)) await persistence.destroy()
  warnings.length = 0
})

afterAll(async () => {
  for (const each of [redis, own, copy]) each.disconnect()
  await Promise.all([master.stop(), replica.stop()])
})

const freshPrefix = (): string => `cs:{${randomUUID()}}:mq:`

/** With a session that waits for messages to `a`. */
async function organization(
  isReplicated: boolean,
  prefix = freshPrefix(),
  replicated: { replicated?: ReplicatedWrites } = { replicated: writes },
): Promise<RedisPersistence> {
  const persistence = new RedisPersistence(redis, prefix, replicated)
  open.push(persistence)
  persistence.configure({ ...defaultPersistenceLimits, isReplicated })
  await persistence.setup(new AnnouncerHub().join())
  await persistence.openSession(owner, false, 60)
  await persistence.addSubscriptions(owner, [{ topic: 'a', qos: 2 }])
  return persistence
}

async function publish(persistence: RedisPersistence, message = aMessage()): Promise<void> {
  await persistence.outgoingEnqueueCombi(await persistence.subscriptionsByTopic(message.topic), message)
}

async function waiting(persistence: RedisPersistence): Promise<number> {
  return (await persistence.outgoingPage(owner, '', 100)).messages.length
}

/** Redis commands of one name that were run. */
async function calls(name: string): Promise<number> {
  const found = new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(await redis.info('commandstats'))
  return Number(found?.[1] ?? 0)
}

describe('what a publisher of a replicated organization waits for', () => {
  test('is in the replica once it resolves', async () => {
    const prefix = freshPrefix()
    const persistence = await organization(true, prefix)
    await publish(persistence)
    expect(await copy.zcard(`${prefix}queue:${owner.id}`)).toBe(1)
    await persistence.storeRetained(aMessage({ topic: 'kept', retain: true }))
    expect(await copy.hexists(`${prefix}retained`, 'kept')).toBe(1)
    await persistence.incomingStore(owner, 7)
    expect(await copy.smembers(`${prefix}incoming:${owner.id}`)).toEqual(['7'])
  })

  test('rejects while no replica answers, waits in no queue, and resolves once one does', async () => {
    const persistence = await organization(true)
    await publish(persistence)
    replica.suspend()
    await expect(publish(persistence)).rejects.toMatchObject(unavailable)
    await expect(persistence.storeRetained(aMessage({ retain: true }))).rejects.toMatchObject(unavailable)
    await expect(persistence.incomingStore(owner, 7)).rejects.toMatchObject(unavailable)
    expect(await waiting(persistence)).toBe(1)
    replica.resume()
    await publish(persistence)
    expect(await waiting(persistence)).toBe(2)
    expect(warnings).toEqual([
      'replicated messages are not acknowledged',
      'a replica of Redis confirms writes again',
    ])
  })

  test('holds up nobody else, and nothing else of its own, while no replica answers', async () => {
    const [persistence, other] = [await organization(true), await organization(false)]
    replica.suspend()
    let isHeldUp = true
    const refused = publish(persistence)
      .then(
        () => 'confirmed',
        () => 'refused',
      )
      .finally(() => (isHeldUp = false))
    await publish(other)
    await persistence.storeRetained(aMessage({ qos: 0, retain: true }))
    await persistence.openSession({ id: 'user:bob/device' }, false, 60)
    expect(await Array.fromAsync(persistence.createRetainedStreamCombi(['#']))).toHaveLength(1)
    expect(isHeldUp).toBe(true)
    expect(await refused).toBe('refused')
  })

  test('shares one question to the replica with all that came in meanwhile', async () => {
    const persistence = await organization(true)
    const before = await calls('wait')
    await Promise.all(
      Array.from({ length: 200 }, async (_, index) => {
        for (let turn = 0; turn < index % 5; turn += 1) await new Promise((resolve) => setImmediate(resolve))
        await publish(persistence)
      }),
    )
    expect(await calls('wait')).toBeLessThan(before + 8)
    expect(await waiting(persistence)).toBe(100)
  })

  test('keeps its order', async () => {
    const persistence = await organization(true)
    const messages = Array.from({ length: 50 }, (_, index) => aMessage({ payload: Buffer.from(`${index}`) }))
    await Promise.all(
      messages.map(async (message, index) => {
        for (let turn = 0; turn < index / 10; turn += 1) await new Promise((resolve) => setImmediate(resolve))
        await publish(persistence, message)
      }),
    )
    const { messages: found } = await persistence.outgoingPage(owner, '', 100)
    expect(found.map(({ message }) => Number(message?.payload.toString()))).toEqual(
      messages.map((_, index) => index),
    )
  })

  test('is not confirmed by another connection than the one that it was written over', async () => {
    const reconnecting = connectRedis(master.url, 'test', silentLog)
    await untilReady(reconnecting, AbortSignal.timeout(10_000))
    const key = `${freshPrefix()}x`
    const promised = new ReplicatedWrites(reconnecting, silentLog)
    const write = promised.run({
      async write() {
        await reconnecting.set(key, 'x')
        reconnecting.disconnect(true)
        await new Promise((resolve) => reconnecting.once('ready', resolve))
      },
    })
    await expect(write).rejects.toMatchObject(unavailable)
    await promised.run({ write: () => reconnecting.set(key, 'y') })
    expect(await copy.get(key)).toBe('y')
    reconnecting.disconnect()
  })

  test('is refused where there is nothing to ask a replica with', async () => {
    const persistence = await organization(true, freshPrefix(), {})
    await expect(publish(persistence)).rejects.toMatchObject(unavailable)
    persistence.configure(defaultPersistenceLimits)
    await publish(persistence)
  })
})
