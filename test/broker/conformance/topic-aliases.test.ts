import type { IPublishPacket } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { defaultLimits } from '../../../broker/limits.ts'
import { ask, publishes, useRawBroker } from '../../fixtures/raw-broker.ts'
import { encode, type RawClient } from '../../fixtures/raw-client.ts'

const { connected } = useRawBroker()
const most = defaultLimits.maxTopicAliases

const message = { cmd: 'publish', topic: 'a', payload: 'x', qos: 0, dup: false, retain: false } as const

function publish(client: RawClient, topic: string, alias?: number, over: Partial<IPublishPacket> = {}): void {
  const properties = { userProperties: { k: 'v' }, ...(alias === undefined ? {} : { topicAlias: alias }) }
  client.send(encode({ ...message, properties, ...over, topic }, 5))
}

async function subscriber(version: 4 | 5, over: object = {}): Promise<RawClient> {
  const client = await connected(version, { clientId: 'subscriber', ...over })
  const subscriptions = [{ topic: '#', qos: 1 as const }]
  await ask(client, { cmd: 'subscribe', messageId: 1, subscriptions }, 'suback', version)
  return client
}

const ping = (client: RawClient, version: 4 | 5 = 5): Promise<unknown> =>
  ask(client, { cmd: 'pingreq' }, 'pingresp', version)

describe('a topic alias of a client', () => {
  test.each([4, 5] as const)(
    'stands for its topic, is replaced, and stays between the two (receiver of level %i) [MQTT-3.3.2-12]',
    async (version) => {
      const receiver = await subscriber(version)
      const sender = await connected(5)
      publish(sender, 'a', 1)
      publish(sender, '', 1)
      publish(sender, 'b', most)
      publish(sender, '', most, { qos: 1, messageId: 1 })
      publish(sender, 'c', 1)
      publish(sender, '', 1)
      await ping(sender)
      await ping(receiver, version)
      expect(publishes(receiver).map(({ topic }) => topic)).toEqual(['a', 'a', 'b', 'b', 'c', 'c'])
      for (const { properties } of publishes(receiver)) {
        expect(properties).toEqual(version === 5 ? { userProperties: { k: 'v' } } : undefined)
      }
    },
  )

  test('works without any other property, where packets go on as they came', async () => {
    const receiver = await subscriber(5)
    const sender = await connected(5)
    publish(sender, 'a', 1, { properties: { topicAlias: 1 } })
    publish(sender, '', 1, { properties: { topicAlias: 1 } })
    await ping(sender)
    await ping(receiver)
    expect(publishes(receiver).map(({ topic, properties }) => ({ topic, properties }))).toEqual([
      { topic: 'a', properties: undefined },
      { topic: 'a', properties: undefined },
    ])
  })

  test('is judged by the topic it stands for', async () => {
    const receiver = await subscriber(5)
    const sender = await connected(5)
    publish(sender, '$closed', 1)
    publish(sender, '', 1, { qos: 1, messageId: 7 })
    expect(await sender.next('puback')).toMatchObject({ messageId: 7, reasonCode: 0x87 })
    await ping(receiver)
    expect(publishes(receiver)).toEqual([])
  })

  test('that stands for nothing yet is a protocol error, and so is no topic at all', async () => {
    for (const alias of [2, undefined]) {
      const sender = await connected(5)
      publish(sender, 'a', 1)
      publish(sender, '', alias)
      expect(await sender.next('disconnect')).toMatchObject({ reasonCode: 0x82 })
      await sender.untilClosed()
    }
  })

  test('ends with its connection [MQTT-3.3.2-7]', async () => {
    const properties = { sessionExpiryInterval: 60 }
    const first = await connected(5, { clean: false, properties })
    publish(first, 'a', 1)
    await ping(first)
    first.destroy()
    const second = await connected(5, { clean: false, properties })
    expect(second.packets[0]).toMatchObject({ sessionPresent: true })
    publish(second, '', 1)
    expect(await second.next('disconnect')).toMatchObject({ reasonCode: 0x82 })
  })
})

describe('a client that takes topic aliases', () => {
  test('gets each topic once, then its alias, and no more of them than it takes [MQTT-3.1.2-26] [MQTT-3.3.2-11]', async () => {
    const receiver = await subscriber(5, { properties: { topicAliasMaximum: 2 } })
    const sender = await connected(5)
    for (const topic of ['a', 'a', 'b', 'c', 'c', 'b']) publish(sender, topic)
    await ping(sender)
    await ping(receiver)
    const got = publishes(receiver).map(({ topic, properties }) => [topic, properties?.topicAlias])
    expect(got).toEqual([
      ['a', 1],
      ['', 1],
      ['b', 2],
      ['c', undefined],
      ['c', undefined],
      ['', 2],
    ])
    for (const { properties } of publishes(receiver)) {
      expect(properties).toMatchObject({ userProperties: { k: 'v' } })
    }
  })

  test('does not get an alias that it was told in a message too large for it', async () => {
    const over = { topicAliasMaximum: 2, maximumPacketSize: 100 }
    const receiver = await subscriber(5, { properties: over })
    const sender = await connected(5)
    publish(sender, 'a', undefined, { payload: 'x'.repeat(100) })
    publish(sender, 'a')
    await ping(sender)
    await ping(receiver)
    expect(publishes(receiver).map(({ topic, properties }) => [topic, properties?.topicAlias])).toEqual([
      ['a', 1],
    ])
  })

  test('and one that takes none gets none [MQTT-3.1.2-27]', async () => {
    const receiver = await subscriber(5)
    const sender = await connected(5)
    for (let count = 0; count < 2; count += 1) publish(sender, 'a', 3)
    await ping(sender)
    await ping(receiver)
    expect(publishes(receiver).map(({ topic, properties }) => [topic, properties?.topicAlias])).toEqual([
      ['a', undefined],
      ['a', undefined],
    ])
  })
})
