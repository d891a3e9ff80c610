import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { useClients, type TestClient } from '../fixtures/broker.ts'
import { eventually } from '../fixtures/eventually.ts'
import { startReplicaOf } from '../fixtures/redis-replica.ts'
import type { RedisServer } from '../fixtures/redis-server.ts'
import { type SessionBrokers, startOnRedis } from '../fixtures/session-brokers.ts'

let brokers: SessionBrokers
let replica: RedisServer

async function start(durability: 'stored' | 'replicated'): Promise<void> {
  brokers = await startOnRedis({ durability })
  if (brokers.redis === undefined) throw new Error('there is no Redis')
  replica = await startReplicaOf(brokers.redis)
}

afterEach(async () => {
  replica.resume()
  await brokers.stop()
  await replica.stop()
})
const connectTo = useClients()

async function connect(name: string, which: 0 | 1, options: object = {}): Promise<TestClient> {
  return connectTo(`mqtt://127.0.0.1:${brokers.ports[which]}`, name, options)
}

async function subscriber(): Promise<TestClient> {
  const client = await connect('bob', 1, { clientId: 'session', clean: false })
  await client.mqtt.subscribeAsync('a', { qos: 2 })
  return client
}

/** Resolves with whether it was acknowledged before the connection ended. */
async function isAcknowledged(payload: string, qos: 1 | 2, topic = 'a', retain = false): Promise<boolean> {
  const client = await connect('ada', 0)
  return new Promise((resolve) => {
    client.mqtt.publish(topic, payload, { qos, retain }, (error) => resolve(!error))
    client.mqtt.once('close', () => resolve(false))
  })
}

describe.each([1, 2] as const)('of a replicated organization a publish at QoS %i', (qos) => {
  beforeEach(() => start('replicated'))

  test('is acknowledged only while a replica of Redis has it, and delivered once', async () => {
    const session = await subscriber()
    expect(await isAcknowledged('before', qos)).toBe(true)
    replica.suspend()
    expect(await isAcknowledged('lost', qos)).toBe(false)
    expect(await isAcknowledged('kept', qos, 'kept', true)).toBe(false)
    // Nothing has to outlive anybody.
    expect(await isAcknowledged('live', qos, 'nobody')).toBe(true)
    replica.resume()
    expect(await isAcknowledged('after', qos)).toBe(true)
    await eventually('both are there', () => session.received.length >= 2)
    await session.end()
    const again = await subscriber()
    expect(await isAcknowledged('last', qos)).toBe(true)
    await eventually('so is the last', () => again.received.some(({ payload }) => payload === 'last'))
    const all = [...session.received, ...again.received].map(({ payload }) => payload)
    expect(all).toEqual(['before', 'after', 'last'])
  })
})

describe('of an organization whose messages are stored', () => {
  beforeEach(() => start('stored'))

  test('a publish is acknowledged whatever becomes of a replica of Redis', async () => {
    await subscriber()
    replica.suspend()
    expect(await isAcknowledged('x', 1)).toBe(true)
    expect(await isAcknowledged('x', 2)).toBe(true)
  })
})
