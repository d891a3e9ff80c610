import type { ISubscribePacket } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { ask, publishes, useRawBroker } from '../../fixtures/raw-broker.ts'
import { connectBytes, encode, type RawClient } from '../../fixtures/raw-client.ts'

const { raw, connected } = useRawBroker({ maxInflight: 5, maxKeepAliveSeconds: 60 })

const message = { cmd: 'publish', topic: 'a/b', payload: 'x', qos: 0, dup: false, retain: false } as const

function subscribe(client: RawClient, over: Partial<ISubscribePacket>): Promise<unknown> {
  const packet: ISubscribePacket = {
    cmd: 'subscribe',
    messageId: 1,
    subscriptions: [{ topic: 'a/b', qos: 1 }],
    ...over,
  }
  return ask(client, packet, 'suback', 5)
}

/** Everything that was sent to the client before has come once this is answered. */
async function pinged(client: RawClient): Promise<void> {
  await ask(client, { cmd: 'pingreq' }, 'pingresp', 5)
}

describe('an MQTT 5 client', () => {
  test('is told the identifiers of all its subscriptions that a message matches, in one message [MQTT-3.3.4-3] [MQTT-3.3.4-4]', async () => {
    const client = await connected(5)
    await subscribe(client, { properties: { subscriptionIdentifier: 7 } })
    await subscribe(client, {
      subscriptions: [{ topic: 'a/#', qos: 0 }],
      properties: { subscriptionIdentifier: 300 },
    })
    await subscribe(client, { subscriptions: [{ topic: '#', qos: 0 }] })
    client.send(encode({ ...message, properties: { contentType: 'text' } }, 5))
    await pinged(client)
    expect(publishes(client).map(({ properties }) => ({ ...properties }))).toEqual([
      { contentType: 'text', subscriptionIdentifier: [7, 300] },
    ])
  })

  test('is told no identifier by a subscription that was replaced without one [MQTT-3.8.4-3]', async () => {
    const client = await connected(5)
    await subscribe(client, { properties: { subscriptionIdentifier: 7 } })
    await subscribe(client, {})
    client.send(encode(message, 5))
    await pinged(client)
    expect(publishes(client).map(({ properties }) => properties ?? {})).toEqual([{}])
  })

  test('is told the identifier with retained messages, and none with 3.1.1', async () => {
    const client = await connected(5)
    client.send(encode({ ...message, retain: true }, 5))
    await subscribe(client, { properties: { subscriptionIdentifier: 7 } })
    await pinged(client)
    expect(publishes(client)).toMatchObject([{ retain: true, properties: { subscriptionIdentifier: 7 } }])
  })

  test('learns what there is in CONNACK: identifiers, shared subscriptions, aliases [MQTT-3.2.2-2]', async () => {
    const client = await raw(5)
    client.send(connectBytes(5))
    expect(await client.next('connack')).toMatchObject({
      reasonCode: 0,
      sessionPresent: false,
      properties: { receiveMaximum: 5, topicAliasMaximum: 10 },
    })
    for (const name of ['subscriptionIdentifiersAvailable', 'sharedSubscriptionAvailable']) {
      expect(client.packets[0]).not.toMatchObject({ properties: { [name]: false } })
    }
  })

  test('whose keep-alive is longer than the broker waits, or none, is given a shorter one', async () => {
    for (const [keepalive, expected] of [
      [0, 60],
      [61, 60],
      [60, undefined],
    ] as const) {
      const client = await raw(5)
      client.send(connectBytes(5, { keepalive }))
      const { properties } = (await client.next('connack')) as { properties?: { serverKeepAlive?: number } }
      expect(properties?.serverKeepAlive).toBe(expected)
    }
  })

  test('that takes no CONNACK, because of its Maximum Packet Size, is closed [MQTT-3.1.2-24]', async () => {
    const client = await raw(5)
    client.send(connectBytes(5, { properties: { maximumPacketSize: 2 } }))
    await client.untilClosed()
    expect(client.packets).toEqual([])
  })

  test('never gets a message over its Maximum Packet Size, and those behind it all the same [MQTT-3.1.2-24] [MQTT-3.1.2-25]', async () => {
    const client = await connected(5, { properties: { maximumPacketSize: 60 } })
    await subscribe(client, {})
    const sender = await connected(5, {
      username: 'bob@org_k7xm4pqr2n5t',
      password: Buffer.from('bob-password'),
    })
    for (const payload of ['x'.repeat(200), 'small']) {
      await ask(sender, { ...message, payload, qos: 1, messageId: 1 }, 'puback', 5)
    }
    await pinged(client)
    expect(publishes(client).map(({ payload }) => payload.toString())).toEqual(['small'])
  })

  test('gets no more messages at a time than its Receive Maximum [MQTT-3.3.4-9] [MQTT-3.3.4-10] [MQTT-4.9.0-1] [MQTT-4.9.0-2] [MQTT-4.9.0-3]', async () => {
    const client = await connected(5, { properties: { receiveMaximum: 2 } })
    await subscribe(client, {})
    for (let id = 1; id <= 4; id += 1) await ask(client, { ...message, qos: 1, messageId: id }, 'puback', 5)
    await pinged(client)
    const ids = (): number[] => publishes(client).map(({ messageId }) => messageId ?? 0)
    expect(ids()).toHaveLength(2)
    client.send(encode({ cmd: 'puback', messageId: ids()[0] as number }, 5))
    await expect.poll(ids).toHaveLength(3)
  })

  test('that has more QoS 2 messages under way than the broker takes is told so [MQTT-3.3.4-7]', async () => {
    const client = await connected(5)
    for (let messageId = 1; messageId <= 6; messageId += 1) {
      client.send(encode({ ...message, qos: 2, messageId }, 5))
    }
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x93 })
    await client.untilClosed()
    expect(client.packets.filter(({ cmd }) => cmd === 'pubrec')).toHaveLength(5)
  })

  test('finds the properties of a message as its sender wrote them [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]', async () => {
    const client = await connected(5)
    await subscribe(client, {})
    const properties = {
      payloadFormatIndicator: true,
      contentType: 'text/plain',
      responseTopic: 'answers/1',
      correlationData: Buffer.from([0, 255, 128]),
      userProperties: { b: '2', a: ['1', '3'] },
    }
    client.send(encode({ ...message, properties }, 5))
    await pinged(client)
    expect(publishes(client)).toMatchObject([{ properties }])
  })

  test('asks for its own messages not to come back, and for the retain flag as it was published [MQTT-3.8.3-3] [MQTT-3.3.1-12] [MQTT-3.3.1-13]', async () => {
    const client = await connected(5)
    await subscribe(client, {
      subscriptions: [
        { topic: 'local/#', qos: 1, nl: true },
        { topic: 'kept/#', qos: 1, rap: true },
        { topic: 'plain/#', qos: 1 },
      ],
    })
    for (const topic of ['local/x', 'kept/x', 'plain/x']) {
      client.send(encode({ ...message, topic, retain: true }, 5))
    }
    await pinged(client)
    expect(publishes(client).map(({ topic, retain }) => [topic, retain])).toEqual([
      ['kept/x', true],
      ['plain/x', false],
    ])
  })

  test('gets retained messages as its retain handling says [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]', async () => {
    const client = await connected(5)
    client.send(encode({ ...message, retain: true }, 5))
    const counts: number[] = []
    for (const rh of [2, 1, 1, 0]) {
      if (rh === 1 && counts.length === 1) {
        await ask(client, { cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['a/b'] }, 'unsuback', 5)
      }
      await subscribe(client, { subscriptions: [{ topic: 'a/b', qos: 0, rh }] })
      await pinged(client)
      counts.push(publishes(client).length)
    }
    expect(counts).toEqual([0, 1, 1, 2])
  })

  test.each(['$share/g', '$share//a', '$share/g+/a', '$share/#/a', '$share/g/', '$share/g/a/#/b'])(
    'is refused the shared filter %s [MQTT-4.8.2-1] [MQTT-4.8.2-2]',
    async (topic) => {
      const client = await connected(5)
      expect(await subscribe(client, { subscriptions: [{ topic, qos: 1 }] })).toMatchObject({
        granted: [0x8f],
      })
    },
  )

  test('may not ask a group for no local [MQTT-3.8.3-4]', async () => {
    const client = await connected(5)
    const subscriptions = [{ topic: '$share/g/a', qos: 1 as const, nl: true }]
    client.send(encode({ cmd: 'subscribe', messageId: 1, subscriptions }, 5))
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x82 })
  })

  test('that says goodbye with a longer session than none is at fault [MQTT-3.14.2-2]', async () => {
    const client = await connected(5)
    client.send(encode({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 5 } }, 5))
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x82 })
  })

  test('that is refused is told why, and its connection closed [MQTT-3.2.2-7] [MQTT-4.13.2-1]', async () => {
    const client = await raw(5)
    client.send(connectBytes(5, { password: Buffer.from('wrong') }))
    expect(await client.next('connack')).toMatchObject({ reasonCode: 0x86, sessionPresent: false })
    await client.untilClosed()
  })

  test.each([
    ['with reason 4', 4, 1],
    ['with an error', 0x80, 1],
    ['normally', 0, 0],
  ])(
    'that leaves %s has its will published accordingly [MQTT-3.1.2-8] [MQTT-3.1.2-10] [MQTT-3.14.4-3]',
    async (_name, reasonCode, expected) => {
      const watcher = await connected(5, { clientId: 'watcher' })
      await subscribe(watcher, { subscriptions: [{ topic: 'will', qos: 0 }] })
      const will = {
        topic: 'will',
        payload: Buffer.from('gone'),
        qos: 0,
        retain: false,
        properties: { userProperties: { a: '1' } },
      } as const
      const client = await connected(5, { will })
      client.send(encode({ cmd: 'disconnect', reasonCode }, 5))
      await client.untilClosed()
      await pinged(watcher)
      const wills = publishes(watcher)
      expect(wills).toHaveLength(expected)
      if (expected > 0) expect(wills).toMatchObject([{ properties: { userProperties: { a: '1' } } }])
    },
  )
})
