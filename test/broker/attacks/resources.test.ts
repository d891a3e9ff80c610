import { setTimeout as pause } from 'node:timers/promises'
import type { ISubscribePacket } from 'mqtt-packet'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectClient } from '../../fixtures/broker.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { ask, publishes, useRawBroker } from '../../fixtures/raw-broker.ts'
import { connectBytes, encode, type RawClient } from '../../fixtures/raw-client.ts'

/** Attack classes of what somebody may use up. */
const { broker, raw, connected } = useRawBroker({
  connectTimeoutMs: 500,
  maxNewcomers: 50,
  maxPacketBytes: 262_144,
  maxSubscriptions: 50,
  maxInflight: 20,
})

async function expectServed(): Promise<void> {
  const begin = performance.now()
  const client = await connectClient(`mqtt://127.0.0.1:${broker().port}`, 'ada')
  await client.mqtt.subscribeAsync('alive')
  await client.end()
  expect(performance.now() - begin).toBeLessThan(1_000)
}

const megabytes = (): number => process.memoryUsage.rss() / 1_048_576

describe('before CONNECT', () => {
  test('no address holds more sockets than it may; those signed in do not count, and the time limit frees them', async () => {
    const signedIn = await connected(4, { clientId: 'signed-in' })
    const silent = await Promise.all(Array.from({ length: 50 }, () => raw()))
    const oneMore = await raw()
    await oneMore.untilClosed()
    expect(silent.some((client) => client.closed())).toBe(false)
    await Promise.all(silent.map((client) => client.untilClosed()))
    expect(signedIn.closed()).toBe(false)
    await expectServed()
  })

  test('a CONNECT that comes byte by byte ends with the time limit, and others are served meanwhile', async () => {
    const slow = await Promise.all(Array.from({ length: 30 }, () => raw()))
    const packet = connectBytes()
    const begin = performance.now()
    let sent = 0
    const drip = setInterval(() => {
      for (const client of slow) client.send(packet.subarray(sent, sent + 1))
      sent += 1
    }, 50)
    await expectServed()
    await Promise.all(slow.map((client) => client.untilClosed()))
    clearInterval(drip)
    expect(sent).toBeLessThan(packet.length)
    expect(performance.now() - begin).toBeLessThan(2_000)
  })

  test('a hundred claims of 256 MB are closed at their header and cost nothing', async () => {
    const before = megabytes()
    for (let round = 0; round < 4; round += 1) {
      const clients = await Promise.all(Array.from({ length: 25 }, () => raw()))
      for (const client of clients)
        client.send(Buffer.concat([Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]), Buffer.alloc(100_000)]))
      await Promise.all(clients.map((client) => client.untilClosed()))
    }
    expect(megabytes() - before).toBeLessThan(50)
    await expectServed()
  })

  test('malformed CONNECTs leave nothing behind', async () => {
    const attack = async (times: number): Promise<void> => {
      for (let index = 0; index < times; index += 20) {
        const clients = await Promise.all(Array.from({ length: 20 }, () => raw()))
        for (const client of clients)
          client.send(Buffer.from('101300044d515454041e000a000170000170000170', 'hex'))
        await Promise.all(clients.map((client) => client.untilClosed()))
      }
    }
    await attack(200)
    const before = megabytes()
    await attack(1_000)
    expect(megabytes() - before).toBeLessThan(30)
    await expectServed()
  })
})

describe('a connected client', () => {
  let timer: NodeJS.Timeout
  let longestTurn = 0
  beforeAll(() => {
    let last = performance.now()
    timer = setInterval(() => {
      longestTurn = Math.max(longestTurn, performance.now() - last)
      last = performance.now()
    }, 5)
  })
  afterAll(() => clearInterval(timer))

  test('with a claim of 256 MB is closed at its header', async () => {
    const client = await connected(5)
    client.send(Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f]))
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x95 })
    await client.untilClosed()
  })

  test('has no filter of thousands of levels, and no topic', async () => {
    const client = await connected(5)
    const subscribe = {
      cmd: 'subscribe',
      messageId: 1,
      subscriptions: [{ topic: '/'.repeat(5_000), qos: 0 }],
    } as const
    const packet: ISubscribePacket = { ...subscribe, subscriptions: [...subscribe.subscriptions] }
    expect(await ask(client, packet, 'suback', 5)).toMatchObject({ granted: [0x8f] })
    const topic = '/'.repeat(30_000)
    client.send(encode({ cmd: 'publish', topic, payload: '', qos: 0, dup: false, retain: true }, 5))
    await client.untilClosed()
  })

  test('has as many filters as it may, in one packet or in many, and can still publish', async () => {
    longestTurn = 0
    const client = await connected(5)
    const granted: number[] = []
    for (let index = 0; index < 20; index += 1) {
      const subscriptions = Array.from({ length: 100 }, (_, n) => ({
        topic: `f/${index}/${n}`,
        qos: 0 as const,
      }))
      const answer = await ask(client, { cmd: 'subscribe', messageId: 1, subscriptions }, 'suback', 5)
      granted.push(...(answer as { granted: number[] }).granted)
    }
    expect(granted.filter((code) => code === 0)).toHaveLength(50)
    expect(granted.filter((code) => code === 0x97)).toHaveLength(1_950)
    expect(longestTurn).toBeLessThan(500)
    await ask(
      client,
      { cmd: 'publish', topic: 'a', payload: '', qos: 1, messageId: 1, dup: false, retain: false },
      'puback',
      5,
    )
  })

  test('has no more QoS 2 messages under way than it may, without PUBREL', async () => {
    const client = await connected(5)
    const packets = Array.from({ length: 3_000 }, (_, index) =>
      encode(
        { cmd: 'publish', topic: 'a', payload: 'x', qos: 2, messageId: index + 1, dup: false, retain: false },
        5,
      ),
    )
    client.send(Buffer.concat(packets))
    await client.untilClosed()
    expect(client.packets.filter(({ cmd }) => cmd === 'pubrec')).toHaveLength(20)
    expect(client.packets.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x93 })
  })

  test('that never acknowledges is sent no more than its window', async () => {
    const client: RawClient = await connected(4, { clientId: 'silent' })
    await ask(client, { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 1 }] }, 'suback')
    const sender = await connected(4)
    for (let index = 0; index < 100; index += 1) {
      await ask(
        sender,
        { cmd: 'publish', topic: 'a', payload: 'x', qos: 1, messageId: 1, dup: false, retain: false },
        'puback',
      )
    }
    await eventually('the window is full', () => publishes(client).length >= 20)
    await pause(50)
    expect(publishes(client)).toHaveLength(20)
  })
})
