import type { ISubscribePacket } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { ask, publishes, useRawBroker } from '../../fixtures/raw-broker.ts'
import { connectBytes, encode, type RawClient } from '../../fixtures/raw-client.ts'

const { raw, connected } = useRawBroker()
const message = { cmd: 'publish', topic: 'a/b', payload: 'x', qos: 0, dup: false, retain: false } as const

describe.each([4, 5] as const)('with protocol level %i', (version) => {
  const subscribe = (client: RawClient, ...filters: [string, 0 | 1 | 2][]): Promise<unknown> => {
    const subscriptions = filters.map(([topic, qos]) => ({ topic, qos }))
    const packet: ISubscribePacket = { cmd: 'subscribe', messageId: 7, subscriptions }
    return ask(client, packet, 'suback', version)
  }
  const ping = (client: RawClient): Promise<unknown> => ask(client, { cmd: 'pingreq' }, 'pingresp', version)

  test('topics are compared letter by letter, and no wildcard reaches a $ topic [MQTT-4.7.2-1] [MQTT-4.7.3-4] [MQTT-3.3.2-3] [MQTT3-4.7.2-1] [MQTT3-4.7.3-4] [MQTT3-3.3.2-3] [MQTT3-3.8.3-2]', async () => {
    const client = await connected(version)
    await subscribe(client, ['/a/+', 0], ['é', 0], ['+/x', 0])
    const topics = ['/a/b', '/a/', 'a/b', '/A/b', '/a', 'e\u0301', 'é', '$x/x', 'y/x']
    for (const topic of topics) client.send(encode({ ...message, topic }, version))
    await ping(client)
    expect(publishes(client).map(({ topic }) => topic)).toEqual(['/a/b', '/a/', 'é', 'y/x'])
  })

  test.each(['a/#/b', 'a#', '#a', 'a+', '+a/b', 'a/b+/c'])(
    'the filter %s is refused [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT3-4.7.1-2] [MQTT3-4.7.1-3]',
    async (topic) => {
      const client = await connected(version)
      expect(await subscribe(client, [topic, 0])).toMatchObject({ granted: [version === 5 ? 0x8f : 0x80] })
    },
  )

  test.each([
    ['a topic with +', '3003000161'.replace('61', '2b')],
    ['a topic with #', '300300012300'.slice(0, 10)],
    ['an empty topic', '30020000'],
  ])(
    '%s closes the connection [MQTT-3.3.2-2] [MQTT-4.7.0-1] [MQTT-4.7.3-1] [MQTT-4.13.1-1] [MQTT3-3.3.2-2] [MQTT3-4.7.1-1] [MQTT3-4.7.3-1] [MQTT3-4.8.0-1]',
    async (_name, hex) => {
      const client = await connected(version)
      client.send(
        version === 5 ? encode({ ...message, topic: 'x' }, 5).fill(0x23, 4, 5) : Buffer.from(hex, 'hex'),
      )
      await client.untilClosed()
      if (version === 5) expect(client.packets.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x81 })
    },
  )

  test('a topic and a filter of the greatest length are served [MQTT-4.7.3-3] [MQTT3-4.7.3-3]', async () => {
    const client = await connected(version)
    const topic = 'x'.repeat(65_535)
    await subscribe(client, [topic, 0])
    client.send(encode({ ...message, topic }, version))
    await client.next('publish')
    expect(publishes(client).map((packet) => packet.topic.length)).toEqual([65_535])
  })

  test('silence of one and a half keep-alives ends the connection [MQTT-3.1.2-22] [MQTT-3.2.2-22] [MQTT3-3.1.2-24]', async () => {
    const client = await raw(version)
    const begin = performance.now()
    client.send(connectBytes(version, { keepalive: 1 }))
    await client.next('connack')
    await client.untilClosed()
    expect(performance.now() - begin).toBeGreaterThan(1_400)
    expect(performance.now() - begin).toBeLessThan(2_500)
  })

  test('a second CONNECT closes the connection [MQTT-3.1.0-2] [MQTT3-3.1.0-2]', async () => {
    const client = await connected(version)
    client.send(connectBytes(version))
    await client.untilClosed()
    if (version === 5) expect(client.packets.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x82 })
  })

  test('nothing is answered after DISCONNECT, and the connection is closed [MQTT-3.14.4-1] [MQTT-3.14.4-2]', async () => {
    const client = await connected(version)
    client.send(Buffer.concat([encode({ cmd: 'disconnect' }, version), encode({ cmd: 'pingreq' }, version)]))
    await client.untilClosed()
    expect(client.packets.map(({ cmd }) => cmd)).toEqual(['connack'])
  })

  test('the same filter again replaces the subscription and gets the retained messages again [MQTT-3.8.4-3] [MQTT-3.8.4-4] [MQTT3-3.8.4-3]', async () => {
    const client = await connected(version)
    client.send(encode({ ...message, retain: true, qos: 1, messageId: 1 }, version))
    await subscribe(client, ['a/b', 1])
    await subscribe(client, ['a/b', 0])
    client.send(encode({ ...message, payload: 'live', qos: 1, messageId: 2 }, version))
    await ping(client)
    expect(publishes(client).map((packet) => [packet.payload.toString(), packet.qos, packet.retain])).toEqual(
      [
        ['x', 1, true],
        ['x', 0, true],
        ['live', 0, false],
      ],
    )
  })

  test('a client id that is refused is told so [MQTT-3.1.3-8] [MQTT3-3.1.3-9] [MQTT-3.1.4-2] [MQTT-3.2.2-8]', async () => {
    const client = await raw(version)
    client.send(connectBytes(version, { clientId: 'x'.repeat(300) }))
    const answer = version === 5 ? { reasonCode: 0x85 } : { returnCode: 2 }
    expect(await client.next('connack')).toMatchObject(answer)
    await client.untilClosed()
  })

  test.each([
    ['too long', '1013 00044d515454 VV 02 000a 0005 7070707070 00'],
    ['with a NUL', '100f 00044d515454 VV 02 000a 0003 706170'.replace('706170', '700070')],
  ])(
    'a CONNECT that is %s is closed without an answer [MQTT-3.1.4-1] [MQTT3-3.1.4-1] [MQTT3-3.2.2-6]',
    async (_name, hex) => {
      const client = await raw(version)
      client.send(Buffer.from(hex.replace('VV', `0${version}`).replaceAll(' ', ''), 'hex'))
      client.send(Buffer.alloc(40))
      await client.untilClosed()
      expect(client.packets).toEqual([])
    },
  )

  const five = version === 5 ? '00' : ''
  const frame = (first: string, body: string): Buffer =>
    Buffer.from(first + (body.length / 2).toString(16).padStart(2, '0') + body, 'hex')

  test.each([
    ['a PUBLISH of QoS 3 [MQTT-3.3.1-4] [MQTT3-3.3.1-4]', frame('36', `0001610001${five}`)],
    ['a PUBLISH of QoS 0 with DUP [MQTT-3.3.1-2] [MQTT3-3.3.1-2]', frame('38', `000161${five}`)],
    ['a PUBLISH without a topic [MQTT-3.3.2-1] [MQTT3-3.3.2-1]', frame('30', '00')],
    ['a PUBLISH with an ill-formed topic [MQTT-3.3.2-1] [MQTT3-3.3.2-1]', frame('30', `0002c080${five}`)],
    ['a PUBLISH with NUL in its topic [MQTT-4.7.3-2] [MQTT3-4.7.3-2]', frame('30', `00026100${five}`)],
    [
      'a SUBSCRIBE with NUL in its filter [MQTT-4.7.3-2] [MQTT3-4.7.3-2]',
      frame('82', `0001${five}0002610000`),
    ],
    [
      'a SUBSCRIBE with an ill-formed filter [MQTT-3.8.3-1] [MQTT3-3.8.3-1]',
      frame('82', `0001${five}0003eda08000`),
    ],
  ])('%s closes the connection', async (_name, bytes) => {
    const client = await connected(version)
    client.send(bytes)
    await client.untilClosed()
    if (version === 5) expect(client.packets.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x81 })
  })
})

test.each([
  [4, ['9003000702', '50020001', '70020001', '340700017800016869', '62020001', 'd000']],
  [5, ['900400070002', '50020001', '70020001', '34080001780001006869', '62020001', 'd000']],
] as const)(
  'every packet has its flags, and no properties are said by a length of zero (level %i) [MQTT3-2.2.2-1] [MQTT-2.2.2-1]',
  async (version, expected) => {
    const client = await connected(version)
    const subscriptions = [{ topic: 'x', qos: 2 as const }]
    await ask(client, { cmd: 'subscribe', messageId: 7, subscriptions }, 'suback', version)
    client.send(encode({ ...message, topic: 'x', payload: 'hi', qos: 2, messageId: 1 }, version))
    await client.next('pubrec')
    client.send(encode({ cmd: 'pubrel', messageId: 1 }, version))
    await client.next('pubcomp')
    await client.next('publish')
    client.send(encode({ cmd: 'pubrec', messageId: 1 }, version))
    await client.next('pubrel')
    await ask(client, { cmd: 'pingreq' }, 'pingresp', version)
    // What answers the publisher and what the subscriber gets may come in either order.
    let rest = client.hex()
    for (const packet of expected) rest = rest.replace(packet, '')
    expect(rest).toMatch(/^20(02|..00)/)
    expect(rest).toHaveLength(client.hex().length - expected.join('').length)
  },
)

test('a client without a will has none published [MQTT3-3.1.2-12]', async () => {
  const watcher = await connected(4, { clientId: 'watcher' })
  const subscriptions = [{ topic: '#', qos: 0 as const }]
  await ask(watcher, { cmd: 'subscribe', messageId: 1, subscriptions }, 'suback')
  const client = await connected(4)
  client.destroy()
  const again = await connected(4)
  again.send(encode(message))
  await watcher.next('publish')
  expect(publishes(watcher).map(({ topic }) => topic)).toEqual([message.topic])
})

test('a 3.1 client is served, without Session Present', async () => {
  for (const _time of ['first', 'second']) {
    const client = await raw(4)
    const connect = { protocolId: 'MQIsdp', protocolVersion: 3, clean: false } as const
    client.send(connectBytes(4, connect))
    expect(await client.next('connack')).toMatchObject({ returnCode: 0, sessionPresent: false })
    client.send(encode({ cmd: 'disconnect' }))
    await client.untilClosed()
  }
})

test('an empty client id that wants to stay is refused in 3.1.1 [MQTT3-3.1.3-8]', async () => {
  const client = await raw(4)
  client.send(Buffer.from('100c00044d5154540400000a0000', 'hex'))
  expect(await client.next('connack')).toMatchObject({ returnCode: 2 })
  await client.untilClosed()
})

describe('with MQTT 5', () => {
  test.each([
    ['ill-formed text in a pair [MQTT-1.5.7-1]', '26 0001 61 0002 c080', 0x81],
    ['an ill-formed response topic [MQTT-3.3.2-13]', '08 0002 c080', 0x81],
    ['a response topic with a wildcard [MQTT-3.3.2-14]', '08 0001 23', 0x82],
    ['an ill-formed content type [MQTT-3.3.2-19]', '03 0002 c080', 0x81],
    ['a subscription identifier [MQTT-3.3.4-6]', '0b 01', 0x82],
    ['a topic alias above what was offered', '23 000b', 0x94],
    ['half a payload format', '01', 0x81],
    ['the topic alias 0 [MQTT-3.3.2-8]', '23 0000', 0x94],
  ])('a PUBLISH with %s is answered with the reason', async (_name, hex, reasonCode) => {
    const client = await connected(5)
    const properties = hex.replaceAll(' ', '')
    const body = `000161${(properties.length / 2).toString(16).padStart(2, '0')}${properties}`
    client.send(Buffer.from(`30${(body.length / 2).toString(16).padStart(2, '0')}${body}`, 'hex'))
    expect(await client.next('disconnect')).toMatchObject({ reasonCode })
    await client.untilClosed()
  })

  test.each([
    ['PUBACK [MQTT-3.4.2-1]', '4003000120'],
    ['PUBREC [MQTT-3.5.2-1]', '50040001ff00'],
    ['PUBREL [MQTT-3.6.2-1]', '6204000187 00'],
    ['PUBCOMP [MQTT-3.7.2-1]', '7003000110'],
  ])('a reason code that does not belong into %s is a protocol error', async (_name, hex) => {
    const client = await connected(5)
    client.send(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x82 })
    await client.untilClosed()
  })

  test.each([
    ['90020000', 0x82],
    ['91020000', 0x81],
    ['00020000', 0x82],
    ['08020000', 0x82],
  ])('what no client sends is an error: %s', async (hex, reasonCode) => {
    const client = await connected(5)
    client.send(Buffer.from(hex, 'hex'))
    expect(await client.next('disconnect')).toMatchObject({ reasonCode })
    await client.untilClosed()
  })

  test('a goodbye with a code that is not no client has publishes the will, and is not answered [MQTT-3.14.2-1]', async () => {
    const watcher = await connected(5, { clientId: 'watcher' })
    const subscriptions = [{ topic: 'will', qos: 0 as const }]
    await ask(watcher, { cmd: 'subscribe', messageId: 1, subscriptions }, 'suback', 5)
    const will = { topic: 'will', payload: Buffer.from('gone'), qos: 0, retain: false } as const
    const client = await connected(5, { will })
    client.send(Buffer.from('e00187', 'hex'))
    await client.untilClosed()
    expect(client.packets.map(({ cmd }) => cmd)).toEqual(['connack'])
    await watcher.next('publish')
  })

  test('a client that wants no problem information and no response information gets none [MQTT-3.1.2-28] [MQTT-3.1.2-29]', async () => {
    const client = await connected(5, { properties: { requestProblemInformation: false } })
    expect(client.packets[0]).not.toMatchObject({ properties: { responseInformation: expect.anything() } })
    const subscriptions = [
      { topic: '$SYS/#', qos: 0 as const },
      { topic: 'a/b', qos: 0 as const },
    ]
    const suback = await ask(client, { cmd: 'subscribe', messageId: 1, subscriptions }, 'suback', 5)
    client.send(encode(message, 5))
    const publish = await client.next('publish')
    const puback = await ask(client, { ...message, topic: '$x', qos: 1, messageId: 1 }, 'puback', 5)
    for (const packet of [suback, publish, puback]) {
      expect(Object.keys(('properties' in packet && packet.properties) || {})).toEqual([])
    }
  })

  test('no reason is told in words where that would be too long [MQTT-3.4.2-2] [MQTT-3.4.2-3] [MQTT-3.5.2-2] [MQTT-3.5.2-3] [MQTT-3.6.2-2] [MQTT-3.6.2-3] [MQTT-3.7.2-2] [MQTT-3.7.2-3] [MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.11.2-1] [MQTT-3.11.2-2] [MQTT-3.14.2-3] [MQTT-3.14.2-4]', async () => {
    const client = await connected(5, { properties: { maximumPacketSize: 160 } })
    const before = client.hex().length / 2
    const subscriptions = [{ topic: '$SYS/#', qos: 0 as const }]
    const refused = { ...message, topic: '$x' }
    const answers = [
      await ask(client, { ...refused, qos: 1, messageId: 1 }, 'puback', 5),
      await ask(client, { ...refused, qos: 2, messageId: 2 }, 'pubrec', 5),
      await ask(client, { cmd: 'pubrec', messageId: 3 }, 'pubrel', 5),
      await ask(client, { cmd: 'pubrel', messageId: 4 }, 'pubcomp', 5),
      await ask(client, { cmd: 'subscribe', messageId: 5, subscriptions }, 'suback', 5),
      await ask(client, { cmd: 'unsubscribe', messageId: 6, unsubscriptions: ['none'] }, 'unsuback', 5),
      await ask(client, { cmd: 'auth', reasonCode: 0x18 }, 'disconnect', 5),
    ]
    const codes = answers.map((packet) => {
      if ('granted' in packet) return packet.granted[0]
      return 'reasonCode' in packet ? packet.reasonCode : undefined
    })
    expect(codes).toEqual([0x87, 0x87, 0x92, 0x92, 0x87, 0x11, 0x82])
    await client.untilClosed()
    // Seven answers of at most six bytes.
    expect(client.hex().length / 2 - before).toBeLessThanOrEqual(7 * 6)
  })

  test('a refused CONNECT is told its reason as a code, in the size that the client takes [MQTT-3.2.2-19] [MQTT-3.2.2-20]', async () => {
    const client = await raw(5)
    client.send(connectBytes(5, { password: Buffer.from('wrong'), properties: { maximumPacketSize: 5 } }))
    await client.untilClosed()
    expect(client.hex()).toBe('2003008600')
  })

  test('user properties of a will keep their order [MQTT-3.1.3-10]', async () => {
    const watcher = await connected(5, { clientId: 'watcher' })
    await ask(
      watcher,
      { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'will', qos: 0 }] },
      'suback',
      5,
    )
    const properties = { userProperties: { z: ['1', '3'], a: '2' } }
    const will = { topic: 'will', payload: Buffer.from('gone'), qos: 0, retain: false, properties } as const
    const client = await connected(5, { will })
    client.destroy()
    const { properties: got } = (await watcher.next('publish')) as { properties?: unknown }
    expect(JSON.stringify(got)).toBe(JSON.stringify(properties))
  })

  test('the packet id of a message that was refused is another message [MQTT-4.3.3-9]', async () => {
    const client = await connected(5)
    const subscriptions = [{ topic: '#', qos: 0 as const }]
    await ask(client, { cmd: 'subscribe', messageId: 1, subscriptions }, 'suback', 5)
    const refused = await ask(client, { ...message, topic: '$x', qos: 2, messageId: 1 }, 'pubrec', 5)
    expect(refused).toMatchObject({ reasonCode: 0x87 })
    const taken = await ask(client, { ...message, qos: 2, messageId: 1 }, 'pubrec', 5)
    expect(taken).toMatchObject({ messageId: 1, reasonCode: 0 })
    await client.next('publish')
  })

  test('a PUBACK or PUBREC with a failure ends the message [MQTT-4.4.0-2]', async () => {
    const client = await connected(5, { properties: { receiveMaximum: 1 } })
    await ask(
      client,
      { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: '#', qos: 2 }] },
      'suback',
      5,
    )
    for (const qos of [1, 2, 1] as const) client.send(encode({ ...message, qos, messageId: 9 + qos }, 5))
    for (const [count, cmd] of [
      [1, 'puback'],
      [2, 'pubrec'],
    ] as const) {
      await expect.poll(() => publishes(client)).toHaveLength(count)
      const { messageId = 0 } = publishes(client)[count - 1] ?? {}
      client.send(encode({ cmd, messageId, reasonCode: 0x97 }, 5))
    }
    await expect.poll(() => publishes(client)).toHaveLength(3)
    expect(client.packets.filter(({ cmd }) => cmd === 'pubrel')).toEqual([])
  })

  test('an AUTH is a protocol error, an authentication method is refused, and without one there is none in CONNACK [MQTT-4.12.0-1] [MQTT-4.12.0-6] [MQTT-3.15.1-1]', async () => {
    const client = await connected(5)
    expect(client.packets[0]).not.toMatchObject({ properties: { authenticationMethod: expect.anything() } })
    client.send(Buffer.from('f000', 'hex'))
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x82 })
    const flagged = await connected(5)
    flagged.send(Buffer.from('f100', 'hex'))
    await flagged.untilClosed()
    const other = await raw(5)
    other.send(connectBytes(5, { properties: { authenticationMethod: 'x' } }))
    expect(await other.next('connack')).toMatchObject({ reasonCode: 0x8c })
    await other.untilClosed()
  })
})
