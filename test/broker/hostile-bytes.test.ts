import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { connectClient, everything, startTestBroker, type TestBroker } from '../fixtures/broker.ts'
import { connectBytes, encode, rawClient, type RawClient } from '../fixtures/raw-client.ts'

let broker: TestBroker
const open: RawClient[] = []

beforeEach(async () => {
  broker = await startTestBroker({
    limits: { connectTimeoutMs: 300, maxPacketBytes: 4_096, maxConnectBytes: 1_024, maxQueuedPackets: 4 },
  })
  await broker.addOrganization()
  await broker.addUser('ada', everything)
})

afterEach(async () => {
  for (const client of open.splice(0)) client.destroy()
  await broker.stop()
})

const bytes = (...values: number[]): Buffer => Buffer.from(values)

async function raw(version: 4 | 5 = 4): Promise<RawClient> {
  const client = await rawClient(broker.port, version)
  open.push(client)
  return client
}

async function connected(version: 4 | 5 = 4): Promise<RawClient> {
  const client = await raw(version)
  client.send(connectBytes(version))
  await client.next('connack')
  return client
}

/** After whatever was sent: others are served as before. */
async function expectAlive(): Promise<void> {
  const client = await connectClient(`mqtt://127.0.0.1:${broker.port}`, 'ada')
  await client.mqtt.subscribeAsync('alive')
  await client.end()
}

const hostileStarts: readonly (readonly [string, Buffer])[] = [
  ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
  ['a TLS handshake', bytes(0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00)],
  ['a PINGREQ', bytes(0xc0, 0)],
  ['a PUBLISH', encode({ cmd: 'publish', topic: 'a', payload: 'x', qos: 0, dup: false, retain: false })],
  ['a length of five bytes', bytes(0x10, 0xff, 0xff, 0xff, 0xff, 0x7f)],
  ['a CONNECT that claims 256 MB', bytes(0x10, 0xff, 0xff, 0xff, 0x7f)],
  ['a CONNECT over the limit', connectBytes(4, { clientId: 'x'.repeat(2_000) })],
  ['an empty CONNECT', bytes(0x10, 0)],
  ['a CONNECT of another protocol', bytes(0x10, 8, 0, 4, 0x58, 0x58, 0x58, 0x58, 4, 2)],
  ['a CONNECT with reserved flag', bytes(0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 3, 0, 0, 0, 0)],
  ['a packet of type 0', bytes(0x00, 0)],
]

describe('a connection that begins with', () => {
  test.each(hostileStarts)('%s is closed', async (_name, start) => {
    const client = await raw()
    client.send(start)
    await client.untilClosed()
    expect(client.packets).toEqual([])
    await expectAlive()
  })

  test('nothing, or a CONNECT that stops in the middle, is closed after the time limit', async () => {
    const [silent, slow] = [await raw(), await raw()]
    slow.send(connectBytes().subarray(0, 10))
    await pause(150)
    expect([silent.closed(), slow.closed()]).toEqual([false, false])
    await Promise.all([silent.untilClosed(), slow.untilClosed()])
  })

  test('a CONNECT byte by byte is served', async () => {
    const client = await raw()
    for (const byte of connectBytes()) client.send(bytes(byte))
    expect(await client.next('connack')).toMatchObject({ returnCode: 0 })
  })
})

const brokenPackets: readonly (readonly [string, Buffer])[] = [
  ['a second CONNECT', connectBytes()],
  ['an AUTH', bytes(0xf0, 0)],
  ['a SUBACK', bytes(0x90, 3, 0, 1, 0)],
  ['a CONNACK', bytes(0x20, 2, 0, 0)],
  ['a PUBLISH with QoS 3', bytes(0x36, 5, 0, 1, 0x61, 0, 1)],
  ['a PUBLISH with an empty topic', bytes(0x30, 3, 0, 0, 0x78)],
  ['a PUBLISH with a wildcard', bytes(0x30, 4, 0, 1, 0x23, 0x78)],
  ['a PUBLISH with NUL in its topic', bytes(0x30, 4, 0, 2, 0x61, 0)],
  ['a PUBLISH with a lone surrogate in its topic', bytes(0x30, 5, 0, 3, 0xed, 0xa0, 0x80)],
  ['a PUBLISH with an overlong encoding in its topic', bytes(0x30, 4, 0, 2, 0xc0, 0x80)],
  ['a PUBLISH of QoS 1 with packet id 0', bytes(0x32, 5, 0, 1, 0x61, 0, 0)],
  ['a PUBLISH whose topic is longer than it', bytes(0x30, 3, 0, 9, 0x61)],
  ['a PUBLISH of 30,000 levels', bytes(0x30, 0xff, 0xff, 0xff, 0x7f)],
  ['a packet over the limit', bytes(0x30, 0x81, 0x20)],
  ['a SUBSCRIBE with wrong flags', bytes(0x80, 6, 0, 1, 0, 1, 0x61, 0)],
  ['a SUBSCRIBE without filters', bytes(0x82, 2, 0, 1)],
  ['a SUBSCRIBE with packet id 0', bytes(0x82, 6, 0, 0, 0, 1, 0x61, 0)],
  ['a SUBSCRIBE with QoS 3', bytes(0x82, 6, 0, 1, 0, 1, 0x61, 3)],
  ['an UNSUBSCRIBE without filters', bytes(0xa2, 2, 0, 1)],
  ['a PUBACK of one byte', bytes(0x40, 1, 0)],
  ['noise', bytes(0xff, 0xff, 0xff, 0xff, 0xff)],
]

describe('an open connection that sends', () => {
  test.each(brokenPackets)('%s is closed', async (_name, packet) => {
    const client = await connected()
    client.send(packet)
    await client.untilClosed()
    await expectAlive()
  })

  test('acknowledgements of what was never sent goes on', async () => {
    const client = await connected()
    for (const type of [0x40, 0x50, 0x62, 0x70]) client.send(bytes(type, 2, 0, 9))
    client.send(bytes(0xc0, 0))
    await client.next('pingresp')
    expect(client.closed()).toBe(false)
  })

  test('names of object prototypes is served like any other', async () => {
    const client = await connected()
    const topics = ['__proto__', 'constructor', 'toString', 'hasOwnProperty']
    const subscriptions = topics.map((topic) => ({ topic, qos: 1 as const }))
    client.send(encode({ cmd: 'subscribe', messageId: 1, subscriptions }))
    expect(await client.next('suback')).toMatchObject({ granted: [1, 1, 1, 1] })
    for (const [index, topic] of topics.entries()) {
      const packet = { topic, payload: 'x', qos: 1, messageId: index + 2, dup: false, retain: true } as const
      client.send(encode({ cmd: 'publish', ...packet }))
    }
    const arrived = (): unknown[] =>
      client.packets.flatMap((packet) => (packet.cmd === 'publish' ? [packet.topic] : []))
    await expect.poll(arrived).toEqual(topics)
  })

  test.each([true, false])(
    'more packets at once than may queue gets an answer to each, in order (retained: %s)',
    async (retain) => {
      const client = await connected()
      const ids = Array.from({ length: 200 }, (_, index) => index + 1)
      const packets = ids.map((messageId) =>
        encode({ cmd: 'publish', topic: 'a', payload: 'x', qos: 1, messageId, dup: false, retain }),
      )
      client.send(Buffer.concat([...packets, bytes(0xc0, 0)]))
      await client.next('pingresp')
      const answered = client.packets.flatMap((packet) => (packet.cmd === 'puback' ? [packet.messageId] : []))
      expect(answered).toEqual(ids)
    },
  )
})

describe('an MQTT 5 connection is told why it is closed when it', () => {
  const publish = { cmd: 'publish', topic: 'a', payload: 'x', qos: 0, dup: false, retain: false } as const
  test.each([
    ['sends a packet over the limit', bytes(0x30, 0x81, 0x20), 0x95],
    ['sends what can not be parsed', bytes(0x30, 4, 0, 1, 0x23, 0x78), 0x81],
    [
      'uses a topic alias above what was offered',
      encode({ ...publish, properties: { topicAlias: 11 } }, 5),
      0x94,
    ],
    [
      'sends a subscription identifier',
      encode({ ...publish, properties: { subscriptionIdentifier: 1 } }, 5),
      0x82,
    ],
  ])('%s', async (_name, packet, reasonCode) => {
    const client = await connected(5)
    client.send(packet)
    expect(await client.next('disconnect')).toMatchObject({ reasonCode })
    await client.untilClosed()
  })
})

describe('a CONNECT', () => {
  test('with an empty client id is given one in MQTT 5, and refused in 3.1.1 unless it starts clean', async () => {
    const five = await raw(5)
    five.send(connectBytes(5, { clientId: '' }))
    expect(await five.next('connack')).toMatchObject({
      reasonCode: 0,
      properties: { assignedClientIdentifier: expect.stringMatching(/^auto-/) },
    })
    const clean = await raw()
    clean.send(connectBytes(4, { clientId: '' }))
    expect(await clean.next('connack')).toMatchObject({ returnCode: 0 })
    const stays = await raw()
    // The encoder refuses to make one: flags byte 9 carries "clean".
    const packet = connectBytes(4, { clientId: '' })
    packet.writeUInt8(packet.readUInt8(9) & ~2, 9)
    stays.send(packet)
    expect(await stays.next('connack')).toMatchObject({ returnCode: 2 })
    await stays.untilClosed()
  })

  test('of another version is told so [MQTT-3.1.2-2]', async () => {
    for (const level of [2, 6]) {
      const client = await raw()
      client.send(bytes(0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, level, 2, 0, 0, 0, 0))
      expect(await client.next('connack')).toMatchObject({ returnCode: 1 })
      await client.untilClosed()
    }
  })

  test('with an authentication method is refused', async () => {
    const client = await raw(5)
    client.send(connectBytes(5, { properties: { authenticationMethod: 'x' } }))
    expect(await client.next('connack')).toMatchObject({ reasonCode: 0x8c })
  })

  test.each([
    ['a long client id', { clientId: 'x'.repeat(257) }, 2],
    ['a will with a wildcard', { will: { topic: 'a/#', payload: Buffer.from('x') } }, 3],
    ['no username', { username: undefined, password: undefined }, 4],
    ['no password', { password: undefined }, 4],
  ] as const)('with %s is refused', async (_name, over, returnCode) => {
    const client = await raw()
    client.send(connectBytes(4, over as object))
    expect(await client.next('connack')).toMatchObject({ returnCode })
    await client.untilClosed()
  })
})

test('a client that goes silent longer than one and a half keep-alives is disconnected', async () => {
  const client = await raw(5)
  client.send(connectBytes(5, { keepalive: 1 }))
  await client.next('connack')
  await pause(1_000)
  client.send(bytes(0xc0, 0))
  await pause(1_000)
  expect(client.closed()).toBe(false)
  expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x8d })
})
