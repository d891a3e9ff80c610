import type { Packet } from 'mqtt-packet'
import { afterEach, describe, expect, test } from 'vitest'
import { connectClient, type TestClient } from '../fixtures/broker.ts'
import { eventually } from '../fixtures/eventually.ts'
import { connectBytes, encode, rawClient, type RawClient } from '../fixtures/raw-client.ts'
import { type SessionBrokers, startInMemory, startOnRedis } from '../fixtures/session-brokers.ts'

/** A session is left on one replica and taken up on another; in memory both are the same. */
describe.each([
  ['in memory', startInMemory],
  ['on Redis, from one replica to another', startOnRedis],
] as const)('a session %s', (_name, start) => {
  let brokers: SessionBrokers
  const raws: RawClient[] = []
  const clients: TestClient[] = []

  afterEach(async () => {
    for (const raw of raws.splice(0)) raw.destroy()
    await Promise.all(clients.splice(0).map((client) => client.end()))
    await brokers.stop()
  })

  type Version = 4 | 5
  const session = (version: Version, seconds = 3_600) =>
    ({
      clean: false,
      clientId: 'device',
      ...(version === 5 ? { properties: { sessionExpiryInterval: seconds } } : {}),
    }) as const

  /** Connects with a bare socket and answers nothing; resolves with CONNACK. */
  async function device(
    replica: 0 | 1,
    version: Version,
    over: object = {},
  ): Promise<{ raw: RawClient; connack: Extract<Packet, { cmd: 'connack' }> }> {
    const raw = await rawClient(brokers.ports[replica], version)
    raws.push(raw)
    raw.send(connectBytes(version, { ...session(version), ...over }))
    return { raw, connack: (await raw.next('connack')) as Extract<Packet, { cmd: 'connack' }> }
  }

  async function subscribe(raw: RawClient, version: Version, topic: string, qos: 0 | 1 | 2): Promise<void> {
    raw.send(encode({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos }] }, version))
    await raw.next('suback')
  }

  async function leave(raw: RawClient): Promise<void> {
    raw.send(encode({ cmd: 'disconnect' }))
    await raw.untilClosed()
  }

  async function publisher(): Promise<TestClient> {
    const client = await connectClient(`mqtt://127.0.0.1:${brokers.ports[0]}`, 'bob', { clientId: 'pub' })
    clients.push(client)
    return client
  }

  const publishes = (raw: RawClient) =>
    raw.packets.filter((packet): packet is Extract<Packet, { cmd: 'publish' }> => packet.cmd === 'publish')

  describe.each([4, 5] as const)('with MQTT version %i', (version) => {
    test('without subscriptions is there as well, until a clean start', async () => {
      brokers = await start()
      const first = await device(0, version)
      expect(first.connack.sessionPresent).toBe(false)
      await leave(first.raw)
      const second = await device(1, version)
      expect(second.connack.sessionPresent).toBe(true)
      await leave(second.raw)
      await leave((await device(0, version, { clean: true, properties: {} })).raw)
      expect((await device(1, version)).connack.sessionPresent).toBe(false)
    })

    test('gets all 3,000 messages that waited, in order and once, and acknowledges in its window', async () => {
      brokers = await start()
      const first = await device(0, version)
      await subscribe(first.raw, version, 'a', 1)
      await leave(first.raw)
      const bob = await publisher()
      const payloads = Array.from({ length: 3_000 }, (_, index) => String(index))
      await Promise.all(payloads.map((payload) => bob.mqtt.publishAsync('a', payload, { qos: 1 })))
      const ada = await connectClient(`mqtt://127.0.0.1:${brokers.ports[1]}`, 'ada', {
        ...session(version),
        protocolVersion: version,
        ...(version === 5 ? { properties: { sessionExpiryInterval: 3_600, receiveMaximum: 37 } } : {}),
      })
      clients.push(ada)
      await eventually('all arrive', () => ada.received.length >= 3_000, 20_000)
      await bob.mqtt.publishAsync('a', 'live', { qos: 1 })
      await eventually('then what is live', () => ada.received.length > 3_000)
      expect(ada.received.map(({ payload }) => payload)).toEqual([...payloads, 'live'])
    })

    test('that does not read for a while, while much comes, is kept and gets all of it, once and in order', async () => {
      brokers = await start()
      const ada = await connectClient(`mqtt://127.0.0.1:${brokers.ports[1]}`, 'ada', {
        ...session(version),
        clean: true,
        protocolVersion: version,
        // 3.1.1 knows no session that begins clean and stays.
        ...(version === 5 ? {} : { clean: false }),
      })
      clients.push(ada)
      await ada.mqtt.subscribeAsync('a', { qos: 1 })
      const bob = await publisher()
      ada.mqtt.stream.pause()
      const filling = Buffer.alloc(5_000, 'x').toString()
      for (let round = 0; round < 10; round += 1) {
        const numbers = Array.from({ length: 400 }, (_, index) => round * 400 + index)
        await Promise.all(numbers.map((each) => bob.mqtt.publishAsync('a', `${each} ${filling}`, { qos: 1 })))
      }
      ada.mqtt.stream.resume()
      await eventually('all arrive', () => ada.received.length >= 4_000, 20_000)
      expect(ada.closed()).toBe(false)
      const numbers = ada.received.map(({ payload }) => Number(payload.split(' ')[0]))
      // Where it goes on with another one than the next.
      expect(numbers.filter((each, index) => each !== (numbers[index - 1] ?? -1) + 1)).toEqual([])
    })

    test('gets what it did not acknowledge again, with DUP and the same packet id, and nothing else', async () => {
      brokers = await start()
      const first = await device(0, version)
      await subscribe(first.raw, version, 'a', 2)
      const bob = await publisher()
      for (const [index, qos] of ([1, 2, 1] as const).entries()) {
        await bob.mqtt.publishAsync('a', String(index), { qos })
      }
      await eventually('they are sent', () => publishes(first.raw).length === 3)
      const sent = publishes(first.raw)
      expect(sent.map(({ dup }) => dup)).toEqual([false, false, false])
      first.raw.send(encode({ cmd: 'puback', messageId: sent[0]?.messageId ?? 0 }, version))
      await leave(first.raw)
      await bob.mqtt.publishAsync('a', 'new', { qos: 1 })
      const second = await device(1, version)
      await eventually('they are sent again', () => publishes(second.raw).length === 3)
      const again = publishes(second.raw).map(({ payload, dup, messageId, qos }) => [
        payload.toString(),
        dup,
        messageId,
        qos,
      ])
      expect(again.slice(0, 2)).toEqual([
        ['1', true, sent[1]?.messageId, 2],
        ['2', true, sent[2]?.messageId, 1],
      ])
      expect(again[2]?.slice(0, 2)).toEqual(['new', false])
      expect([sent[1]?.messageId, sent[2]?.messageId]).not.toContain(again[2]?.[2])
    })

    test('goes on with PUBREL for a QoS 2 message that it has received', async () => {
      brokers = await start()
      const first = await device(0, version)
      await subscribe(first.raw, version, 'a', 2)
      const bob = await publisher()
      await bob.mqtt.publishAsync('a', 'once', { qos: 2 })
      const { messageId = 0 } = (await first.raw.next('publish')) as { messageId?: number }
      first.raw.send(encode({ cmd: 'pubrec', messageId }, version))
      await first.raw.next('pubrel')
      first.raw.destroy()
      const second = await device(1, version)
      expect(await second.raw.next('pubrel')).toMatchObject({ messageId })
      second.raw.send(encode({ cmd: 'pubcomp', messageId }, version))
      await leave(second.raw)
      const third = await device(0, version)
      await bob.mqtt.publishAsync('a', 'after', { qos: 1 })
      await third.raw.next('publish')
      expect(third.raw.packets.map(({ cmd }) => cmd)).toEqual(['connack', 'publish'])
      expect(publishes(second.raw)).toEqual([])
    })

    test('publishes a QoS 2 message once though it sends it again after it came back', async () => {
      brokers = await start()
      const watcher = await publisher()
      await watcher.mqtt.subscribeAsync('a', { qos: 2 })
      const message = { cmd: 'publish', topic: 'a', qos: 2, messageId: 7, retain: false } as const
      const first = await device(0, version)
      first.raw.send(encode({ ...message, dup: false, payload: 'once' }, version))
      await first.raw.next('pubrec')
      first.raw.destroy()
      const second = await device(1, version)
      second.raw.send(encode({ ...message, dup: true, payload: 'once' }, version))
      await second.raw.next('pubrec')
      second.raw.send(encode({ cmd: 'pubrel', messageId: 7 }, version))
      expect(await second.raw.next('pubcomp')).toMatchObject({ messageId: 7 })
      second.raw.send(encode({ ...message, dup: false, payload: 'another' }, version))
      await eventually('the other one arrives', () => watcher.received.length >= 2)
      expect(watcher.received.map(({ payload }) => payload)).toEqual(['once', 'another'])
    })

    test('that subscribes often, with several filters, is answered each time and gets each message once', async () => {
      brokers = await start()
      const { raw } = await device(0, version)
      const subscriptions = ['a', '+', '#', 'constructor', '[x]/+'].map((topic) => ({
        topic,
        qos: 1 as const,
      }))
      for (let messageId = 1; messageId <= 5; messageId += 1) {
        raw.send(encode({ cmd: 'subscribe', messageId, subscriptions }, version))
      }
      await eventually(
        'all are answered',
        () => raw.packets.filter(({ cmd }) => cmd === 'suback').length === 5,
      )
      await leave(raw)
      const bob = await publisher()
      for (const topic of ['a', 'constructor', '[x]/y']) await bob.mqtt.publishAsync(topic, 'x', { qos: 1 })
      const second = await device(1, version)
      await eventually('they arrive', () => publishes(second.raw).length >= 3)
      await bob.mqtt.publishAsync('a', 'last', { qos: 1 })
      await eventually('the last arrives', () => publishes(second.raw).at(-1)?.payload.toString() === 'last')
      expect(publishes(second.raw).map(({ topic }) => topic)).toEqual(['a', 'constructor', '[x]/y', 'a'])
    })

    test('ends at the latest when the organization says, and takes nothing more then', async () => {
      brokers = await start({ sessionMaxExpiry: 1 })
      const first = await device(0, version)
      if (version === 5) expect(first.connack.properties?.sessionExpiryInterval).toBe(1)
      await subscribe(first.raw, version, 'a', 1)
      await leave(first.raw)
      await new Promise((resolve) => setTimeout(resolve, 1_100))
      const bob = await publisher()
      await bob.mqtt.publishAsync('a', 'too late', { qos: 1 })
      const second = await device(1, version)
      expect(second.connack.sessionPresent).toBe(false)
      await subscribe(second.raw, version, 'b', 1)
      await bob.mqtt.publishAsync('b', 'new', { qos: 1 })
      await second.raw.next('publish')
      expect(publishes(second.raw).map(({ payload }) => payload.toString())).toEqual(['new'])
    })

    test('keeps as many messages as the organization allows, and the others are counted', async () => {
      brokers = await start({ limits: { queued: 5 } })
      const first = await device(0, version)
      await subscribe(first.raw, version, 'a', 1)
      await leave(first.raw)
      const bob = await publisher()
      for (let index = 0; index < 8; index += 1) await bob.mqtt.publishAsync('a', String(index), { qos: 1 })
      const second = await device(1, version)
      await eventually('they arrive', () => publishes(second.raw).length >= 5)
      expect(publishes(second.raw).map(({ payload }) => payload.toString())).toEqual([
        '0',
        '1',
        '2',
        '3',
        '4',
      ])
      expect(await brokers.registries[0]?.metrics()).toContain(
        'messages_dropped_total{reason="queue-full"} 3',
      )
    })
  })

  test('gets what is left of a Message Expiry Interval, and nothing of what is over', async () => {
    brokers = await start()
    const first = await device(0, 5)
    await subscribe(first.raw, 5, 'a', 1)
    await leave(first.raw)
    const bob = await connectClient(`mqtt://127.0.0.1:${brokers.ports[0]}`, 'bob', { protocolVersion: 5 })
    clients.push(bob)
    const send = (payload: string, messageExpiryInterval: number) =>
      bob.mqtt.publishAsync('a', payload, { qos: 1, properties: { messageExpiryInterval } })
    await send('short', 1)
    await send('long', 100)
    await new Promise((resolve) => setTimeout(resolve, 1_200))
    const second = await device(1, 5)
    const message = (await second.raw.next('publish')) as Extract<Packet, { cmd: 'publish' }>
    expect(message.payload.toString()).toBe('long')
    expect(message.properties?.messageExpiryInterval).toBeLessThanOrEqual(99)
    expect(message.properties?.messageExpiryInterval).toBeGreaterThan(90)
  })

  test('takes an organization that has too many retained messages at its word', async () => {
    brokers = await start({ limits: { retained: 1 } })
    const bob = await connectClient(`mqtt://127.0.0.1:${brokers.ports[0]}`, 'bob', { protocolVersion: 5 })
    const old = await publisher()
    clients.push(bob)
    await bob.mqtt.publishAsync('a', 'kept', { qos: 1, retain: true })
    for (const qos of [1, 2] as const) {
      await expect(bob.mqtt.publishAsync('b', 'refused', { qos, retain: true })).rejects.toMatchObject({
        code: 0x97,
      })
      await old.mqtt.publishAsync('b', 'dropped', { qos, retain: true })
    }
    await bob.mqtt.publishAsync('a', 'changed', { qos: 1, retain: true })
    const ada = await connectClient(`mqtt://127.0.0.1:${brokers.ports[1]}`, 'ada', {})
    clients.push(ada)
    await ada.mqtt.subscribeAsync('#', { qos: 1 })
    await eventually('it arrives', () => ada.received.length > 0)
    expect(ada.received.map(({ topic, payload }) => [topic, payload])).toEqual([['a', 'changed']])
  })
})
