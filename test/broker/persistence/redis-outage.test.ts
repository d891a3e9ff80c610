import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { silentLog } from '#core/process/logger.ts'
import { connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { RedisPersistence } from '../../../broker/persistence/redis-persistence.ts'
import { messageName } from '../../../broker/persistence/session-persistence.ts'
import { AnnouncerHub } from '../../fixtures/announcer-hub.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { aMessage } from '../../fixtures/messages.ts'
import { startRedisServer } from '../../fixtures/redis-server.ts'

const owner = { id: 'user:ada/device' }
const other = { id: 'user:bob/device' }

async function publish(persistence: RedisPersistence, message: ReturnType<typeof aMessage>): Promise<void> {
  await persistence.outgoingEnqueueCombi(await persistence.subscriptionsByTopic(message.topic), message)
}

describe('a Redis that goes away in the middle', () => {
  test('makes what is under way reject and nothing else, and everything goes on once it is back', async () => {
    const own = await startRedisServer('--appendonly', 'yes', '--appendfsync', 'always')
    const connection = connectRedis(own.url, 'test', silentLog)
    await untilReady(connection, AbortSignal.timeout(10_000))
    const persistence = new RedisPersistence(connection, `cs:{${randomUUID()}}:mq:`)
    await persistence.setup(new AnnouncerHub().join())
    await persistence.openSession(owner, false, 600)
    await persistence.addSubscriptions(owner, [{ topic: 'a', qos: 1 }])
    const stored: string[] = []
    const failures: unknown[] = []
    const stop = new AbortController()
    const publishing = (async () => {
      while (!stop.signal.aborted) {
        const message = aMessage()
        await publish(persistence, message).then(
          () => stored.push(messageName(message)),
          (error: unknown) => failures.push(error),
        )
        await pause(1)
      }
    })()
    await eventually('some are stored', () => stored.length > 20)
    await own.kill()
    await eventually('some are refused', () => failures.length > 20)
    for (const work of [
      () => persistence.openSession(other, false, 60),
      () => persistence.addSubscriptions(owner, [{ topic: 'b', qos: 1 }]),
      () => persistence.removeSubscriptions(owner, ['a']),
      () => persistence.incomingStore(owner, 1),
      () => persistence.incomingForget(owner, 1),
      () => persistence.outgoingPage(owner, '', 1),
      () => persistence.outgoingApply(owner, []),
      () => persistence.storeRetained(aMessage()),
      () => Array.fromAsync(persistence.createRetainedStreamCombi(['#'])),
      () => persistence.closeSession(other, '1', 0),
      () => persistence.endSession(other),
    ]) {
      await expect(work()).rejects.toMatchObject({ code: 'store-unavailable' })
    }
    await own.start()
    await untilReady(connection, AbortSignal.timeout(10_000))
    const before = stored.length
    await eventually('it goes on', () => stored.length > before + 20)
    stop.abort()
    await publishing
    expect(await persistence.subscriptionsByTopic('a')).toHaveLength(1)
    const { messages } = await persistence.outgoingPage(owner, '', 10_000)
    const there = new Set(messages.map(({ name }) => name))
    expect(stored.filter((name) => !there.has(name))).toEqual([])
    expect(failures.every((error) => (error as { code?: string }).code === 'store-unavailable')).toBe(true)
    await persistence.destroy()
    connection.disconnect()
    await own.stop()
  })
})
