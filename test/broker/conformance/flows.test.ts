import { describe, expect, test } from 'vitest'
import { ask, publishes, useRawBroker } from '../../fixtures/raw-broker.ts'
import { encode, type RawClient } from '../../fixtures/raw-client.ts'

const { connected } = useRawBroker()
const bob = { username: 'bob@org_k7xm4pqr2n5t', password: Buffer.from('bob-password') }
const message = { cmd: 'publish', topic: 'a', payload: 'x', qos: 0, dup: false, retain: false } as const

async function subscribed(qos: 0 | 1 | 2, version: 4 | 5 = 4, topic = 'a'): Promise<RawClient> {
  const client = await connected(version, bob)
  const packet = { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos }] } as const
  await ask(client, { ...packet, subscriptions: [...packet.subscriptions] }, 'suback', version)
  return client
}

/** A client that has got one message of this QoS and has not answered. */
async function withMessage(qos: 1 | 2, version: 4 | 5): Promise<{ client: RawClient; messageId: number }> {
  const client = await subscribed(qos, version)
  const sender = await connected()
  sender.send(encode({ ...message, qos, messageId: 1 }))
  const { messageId = 0 } = await client.next('publish')
  return { client, messageId }
}

describe.each([4, 5] as const)('with protocol level %i', (version) => {
  test.each([
    ['PUBREC for QoS 1', 1, 'pubrec'],
    ['PUBCOMP for QoS 1', 1, 'pubcomp'],
    ['PUBACK for QoS 2', 2, 'puback'],
    ['PUBCOMP for QoS 2 before PUBREC', 2, 'pubcomp'],
  ] as const)(
    'a %s closes the connection [MQTT-4.3.2-3] [MQTT-4.3.3-3] [MQTT-4.13.1-1] [MQTT3-4.8.0-1]',
    async (_name, qos, cmd) => {
      const { client, messageId } = await withMessage(qos, version)
      client.send(encode({ cmd, messageId }, version))
      await client.untilClosed()
      if (version === 5) expect(client.packets.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x82 })
    },
  )

  test('a PUBREC that comes again is answered again, a PUBACK after it closes [MQTT-4.3.3-4] [MQTT-4.3.3-5]', async () => {
    const { client, messageId } = await withMessage(2, version)
    for (let times = 0; times < 2; times += 1) {
      expect(await ask(client, { cmd: 'pubrec', messageId }, 'pubrel', version)).toMatchObject({ messageId })
    }
    client.send(encode({ cmd: 'puback', messageId }, version))
    await client.untilClosed()
  })

  test('a QoS 2 message that is sent twice is published once [MQTT-4.3.3-8] [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.3.3-12] [MQTT3-4.3.3-2]', async () => {
    const client = await subscribed(0, version)
    const sender = await connected(version)
    const packet = { ...message, qos: 2, messageId: 5 } as const
    await ask(sender, packet, 'pubrec', version)
    await ask(sender, { ...packet, dup: true }, 'pubrec', version)
    await ask(sender, { cmd: 'pubrel', messageId: 5 }, 'pubcomp', version)
    await ask(sender, packet, 'pubrec', version)
    await ask(client, { cmd: 'pingreq' }, 'pingresp', version)
    expect(publishes(client)).toHaveLength(2)
  })

  test('a PUBREL of what is not under way is answered all the same [MQTT-4.3.3-11]', async () => {
    const client = await connected(version)
    const answer = await ask(client, { cmd: 'pubrel', messageId: 9 }, 'pubcomp', version)
    expect(answer).toMatchObject({ messageId: 9, ...(version === 5 ? { reasonCode: 0x92 } : {}) })
  })

  test('messages of one sender arrive in their order, each QoS for itself [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT3-4.6.0-5] [MQTT3-4.6.0-6] [MQTT-4.2.0-1] [MQTT3-7.1.1-1]', async () => {
    const client = await subscribed(2, version)
    const sender = await connected(version)
    const sent = Array.from({ length: 60 }, (_, index) => ({
      qos: (index % 3) as 0 | 1 | 2,
      payload: `${index}`,
    }))
    sender.send(
      Buffer.concat(
        sent.map((one, index) =>
          encode({ ...message, ...one, ...(one.qos > 0 ? { messageId: index + 1 } : {}) }, version),
        ),
      ),
    )
    await expect.poll(() => publishes(client)).toHaveLength(60)
    for (const qos of [0, 1, 2]) {
      const payloads = publishes(client).flatMap((packet) =>
        packet.qos === qos ? [packet.payload.toString()] : [],
      )
      expect(payloads).toEqual(sent.filter((one) => one.qos === qos).map(({ payload }) => payload))
    }
  })

  test('a PUBLISH behind a SUBSCRIBE in the same bytes reaches that subscription [MQTT-4.6.0-5]', async () => {
    const client = await connected(version)
    const subscribe = {
      cmd: 'subscribe',
      messageId: 1,
      subscriptions: [{ topic: 'a', qos: 0 as const }],
    } as const
    client.send(
      Buffer.concat([
        encode({ ...subscribe, subscriptions: [...subscribe.subscriptions] }, version),
        encode(message, version),
      ]),
    )
    await client.next('publish')
    expect(client.packets.map(({ cmd }) => cmd)).toEqual(['connack', 'suback', 'publish'])
  })

  test('filters that overlap give one message, of the highest QoS [MQTT-3.3.4-2] [MQTT3-3.3.5-1]', async () => {
    const client = await subscribed(0, version, '#')
    for (const [topic, qos] of [
      ['a', 2],
      ['+', 1],
    ] as const) {
      await ask(
        client,
        { cmd: 'subscribe', messageId: 2, subscriptions: [{ topic, qos }] },
        'suback',
        version,
      )
    }
    const sender = await connected(version)
    await ask(sender, { ...message, qos: 2, messageId: 1 }, 'pubrec', version)
    await ask(client, { cmd: 'pingreq' }, 'pingresp', version)
    expect(publishes(client).map(({ qos }) => qos)).toEqual([2])
  })

  test('a message never has a higher QoS than it was published or subscribed with [MQTT-3.8.4-8] [MQTT3-3.8.4-6]', async () => {
    const client = await subscribed(1, version)
    const sender = await connected(version)
    sender.send(encode(message, version))
    await ask(sender, { ...message, qos: 2, messageId: 1 }, 'pubrec', version)
    await ask(client, { cmd: 'pingreq' }, 'pingresp', version)
    expect(publishes(client).map(({ qos, dup }) => [qos, dup])).toEqual([
      [0, false],
      [1, false],
    ])
  })

  test('DUP of the sender does not reach the receiver [MQTT-3.3.1-3] [MQTT3-3.3.1-3]', async () => {
    const client = await subscribed(1, version)
    const sender = await connected(version)
    await ask(sender, { ...message, qos: 1, messageId: 1, dup: true }, 'puback', version)
    expect(await client.next('publish')).toMatchObject({ dup: false, payload: Buffer.from('x') })
  })
})
