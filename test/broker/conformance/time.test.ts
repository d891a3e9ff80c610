import { setTimeout as pause } from 'node:timers/promises'
import type { ISubscribePacket } from 'mqtt-packet'
import { expect, test } from 'vitest'
import { ask, publishes, useRawBroker } from '../../fixtures/raw-broker.ts'
import { connectBytes, encode, type RawClient } from '../../fixtures/raw-client.ts'

const { raw, connected } = useRawBroker()
const bob = {
  clientId: 'bob',
  username: 'bob@org_k7xm4pqr2n5t',
  password: Buffer.from('bob-password'),
} as const
const stays = (seconds: number) => ({ clean: false, properties: { sessionExpiryInterval: seconds } }) as const
const message = { cmd: 'publish', topic: 'a', qos: 1, dup: false, retain: false } as const

async function subscribe(client: RawClient, topic: string): Promise<void> {
  const packet: ISubscribePacket = { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos: 1 }] }
  await ask(client, packet, 'suback', 5)
}

async function leave(client: RawClient): Promise<void> {
  client.send(encode({ cmd: 'disconnect' }, 5))
  await client.untilClosed()
}

test('a message that waited says how much of its time is left, and goes when none is [MQTT-3.3.2-5] [MQTT-3.3.2-6]', async () => {
  const client = await connected(5, stays(60))
  await subscribe(client, 'a')
  await leave(client)
  const sender = await connected(5, bob)
  for (const [messageId, messageExpiryInterval] of [
    [1, 1],
    [2, 100],
  ] as const) {
    const packet = { ...message, payload: `${messageId}`, messageId, properties: { messageExpiryInterval } }
    await ask(sender, packet, 'puback', 5)
  }
  await pause(1_500)
  const back = await connected(5, stays(60))
  const { payload, properties } = (await back.next('publish')) as ReturnType<typeof publishes>[number]
  expect(payload.toString()).toBe('2')
  expect(properties?.messageExpiryInterval).toBeLessThan(100)
  expect(properties?.messageExpiryInterval).toBeGreaterThan(90)
  await ask(back, { cmd: 'pingreq' }, 'pingresp', 5)
  expect(publishes(back)).toHaveLength(1)
})

test('a session is forgotten when its expiry is over, and not before [MQTT-4.1.0-2] [MQTT-4.1.0-1] [MQTT-3.1.2-23]', async () => {
  const present: boolean[] = []
  for (const wait of [0, 200, 2_000]) {
    await pause(wait)
    const client = await raw(5)
    client.send(connectBytes(5, stays(1)))
    present.push(((await client.next('connack')) as { sessionPresent: boolean }).sessionPresent)
    if (wait === 0) await subscribe(client, 'a')
    await leave(client)
  }
  expect(present).toEqual([false, true, false])
})

test('a will waits for its delay, and is not published when the client is back before [MQTT-3.1.3-9] [MQTT-3.1.2-8]', async () => {
  const watcher = await connected(5, bob)
  await subscribe(watcher, 'will/#')
  const will = (topic: string) =>
    ({
      topic,
      payload: Buffer.from('x'),
      qos: 1,
      retain: false,
      properties: { willDelayInterval: 1 },
    }) as const
  for (const clientId of ['returns', 'stays-away']) {
    const client = await connected(5, { ...stays(60), clientId, will: will(`will/${clientId}`) })
    client.destroy()
  }
  await connected(5, { ...stays(60), clientId: 'returns' })
  await pause(300)
  expect(publishes(watcher)).toEqual([])
  await expect
    .poll(() => publishes(watcher).map(({ topic }) => topic), { timeout: 4_000 })
    .toEqual(['will/stays-away'])
})

test('a message that waits for the window of a client ages there too, and one under way no longer [MQTT-3.3.2-5] [MQTT-3.3.2-6] [MQTT-4.3.3-7] [MQTT-4.3.3-13]', async () => {
  const client = await connected(5, { properties: { receiveMaximum: 1 } })
  const packet: ISubscribePacket = { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 2 }] }
  await ask(client, packet, 'suback', 5)
  const sender = await connected(5, bob)
  for (const [messageId, messageExpiryInterval] of [
    [1, 1],
    [2, 1],
    [3, 100],
  ] as const) {
    const published = {
      ...message,
      payload: `${messageId}`,
      messageId,
      properties: { messageExpiryInterval },
    }
    await ask(sender, { ...published, qos: 2 }, 'pubrec', 5)
  }
  const { messageId = 0 } = await client.next('publish')
  await pause(1_200)
  await ask(client, { cmd: 'pubrec', messageId }, 'pubrel', 5)
  client.send(encode({ cmd: 'pubcomp', messageId }, 5))
  await expect.poll(() => publishes(client).map(({ payload }) => payload.toString())).toEqual(['1', '3'])
  expect(publishes(client)[1]?.properties?.messageExpiryInterval).toBe(99)
})
