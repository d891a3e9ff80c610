import type { ISubscribePacket } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { ask, publishes, useRawBroker } from '../../fixtures/raw-broker.ts'
import { connectBytes, encode, type RawClient } from '../../fixtures/raw-client.ts'

const { raw, connected } = useRawBroker()
const bob = { username: 'bob@org_k7xm4pqr2n5t', password: Buffer.from('bob-password') }
const message = { cmd: 'publish', topic: 'a/b', payload: 'x', qos: 0, dup: false, retain: false } as const

describe.each([4, 5] as const)('with protocol level %i', (version) => {
  const subscribe = (client: RawClient, ...filters: [string, 0 | 1 | 2][]): Promise<unknown> => {
    const subscriptions = filters.map(([topic, qos]) => ({ topic, qos }))
    const packet: ISubscribePacket = { cmd: 'subscribe', messageId: 7, subscriptions }
    return ask(client, packet, 'suback', version)
  }
  const ping = (client: RawClient): Promise<unknown> => ask(client, { cmd: 'pingreq' }, 'pingresp', version)
  const payloads = (client: RawClient): string[] => publishes(client).map(({ payload }) => payload.toString())
  /** A session that stays when its connection goes. */
  const stays = {
    clean: false,
    ...(version === 5 ? { properties: { sessionExpiryInterval: 60 } } : {}),
  } as const

  test('CONNECT is answered first and once, and PINGREQ after it [MQTT-3.2.0-1] [MQTT-3.2.0-2] [MQTT-3.1.4-5] [MQTT-3.12.4-1] [MQTT-3.2.2-1] [MQTT3-3.2.0-1] [MQTT3-3.1.4-4] [MQTT3-3.12.4-1]', async () => {
    const client = await raw(version)
    client.send(Buffer.concat([connectBytes(version), encode({ cmd: 'pingreq' }, version)]))
    await client.next('pingresp')
    expect(client.packets.map(({ cmd }) => cmd)).toEqual(['connack', 'pingresp'])
  })

  test('what follows a refused CONNECT is not processed [MQTT-3.1.4-6] [MQTT-3.2.2-6] [MQTT-3.14.0-1] [MQTT3-3.1.4-5] [MQTT3-3.2.2-4] [MQTT3-3.2.2-5]', async () => {
    const watcher = await connected(version, bob)
    await subscribe(watcher, ['#', 0])
    const client = await raw(version)
    const refused = connectBytes(version, { password: Buffer.from('wrong'), clean: true })
    client.send(Buffer.concat([refused, encode(message, version)]))
    await client.untilClosed()
    expect(client.packets.map(({ cmd }) => cmd)).toEqual(['connack'])
    expect(client.packets[0]).toMatchObject({ sessionPresent: false })
    await ping(watcher)
    expect(publishes(watcher)).toEqual([])
  })

  test('a client id of letters and digits is accepted, an empty one is given a name [MQTT-3.1.3-5] [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16] [MQTT3-3.1.3-5] [MQTT3-3.1.3-6]', async () => {
    const [clients, given]: [RawClient[], Set<string>] = [[], new Set()]
    for (const clientId of ['0123456789abcdefghijABC', '', '']) {
      const client = await raw(version)
      client.send(connectBytes(version, { clientId }))
      const connack = await client.next('connack')
      expect(connack).toMatchObject(version === 5 ? { reasonCode: 0 } : { returnCode: 0 })
      const { properties } = connack as { properties?: { assignedClientIdentifier?: string } }
      given.add(properties?.assignedClientIdentifier ?? '')
      clients.push(client)
    }
    // None of them took the place of another.
    for (const client of clients) await ping(client)
    if (version === 5) expect([given.size, [...given].every((name) => name.length <= 23)]).toEqual([3, false])
  })

  test('the last connection of a client id wins [MQTT-3.1.4-3] [MQTT-3.1.3-2] [MQTT3-3.1.4-2] [MQTT3-3.1.3-2]', async () => {
    const first = await connected(version)
    const second = await connected(version)
    await first.untilClosed()
    if (version === 5) expect(first.packets.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x8e })
    await ping(second)
  })

  test('a session goes on, or is forgotten with a clean start; Session Present says so [MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.1.2-23] [MQTT-3.2.2-2] [MQTT-3.2.2-3] [MQTT-3.1.4-4] [MQTT-4.5.0-1] [MQTT-4.1.0-1] [MQTT3-3.1.2-4] [MQTT3-3.1.2-5] [MQTT3-3.1.2-6] [MQTT3-3.2.2-1] [MQTT3-3.2.2-2] [MQTT3-3.2.2-3] [MQTT3-3.1.4-3] [MQTT3-4.5.0-1] [MQTT3-4.1.0-1] [MQTT3-4.1.0-2]', async () => {
    const sender = await connected(version, bob)
    const present: unknown[] = []
    const got: string[][] = []
    for (const over of [stays, stays, { ...stays, clean: true }, stays]) {
      const client = await raw(version)
      client.send(connectBytes(version, over))
      present.push(((await client.next('connack')) as { sessionPresent: boolean }).sessionPresent)
      await ping(client)
      await expect.poll(() => publishes(client).length).toBe(present.length === 2 ? 1 : 0)
      got.push(payloads(client))
      for (const { messageId } of publishes(client)) {
        client.send(encode({ cmd: 'puback', messageId: messageId ?? 0 }, version))
      }
      if (present.length === 1) await subscribe(client, ['a/b', 1])
      client.send(encode({ cmd: 'disconnect' }, version))
      await client.untilClosed()
      if (present.length < 3) {
        await ask(
          sender,
          { ...message, payload: `${present.length}`, qos: 1, messageId: 1 },
          'puback',
          version,
        )
      }
    }
    // 3.1.1: a clean session ends with its connection.
    expect(present).toEqual([false, true, false, version === 5])
    expect(got).toEqual([[], ['1'], [], []])
  })

  test.each([1, 2] as const)(
    'a message of QoS %i that was not acknowledged comes again, marked, with its packet id [MQTT-3.3.1-1] [MQTT-4.4.0-1] [MQTT-4.3.3-6] [MQTT3-3.3.1-1] [MQTT3-4.4.0-1]',
    async (qos) => {
      const sender = await connected(version, bob)
      const client = await connected(version, stays)
      await subscribe(client, ['a/b', qos])
      sender.send(encode({ ...message, qos, messageId: 1 }, version))
      const first = await client.next('publish')
      expect(first).toMatchObject({ dup: false, qos })
      client.destroy()
      const second = await connected(version, stays)
      expect(await second.next('publish')).toMatchObject({ dup: true, qos, messageId: first.messageId })
      if (qos === 1) return
      const pubrel = await ask(second, { cmd: 'pubrec', messageId: first.messageId ?? 0 }, 'pubrel', version)
      expect(pubrel).toMatchObject({ messageId: first.messageId })
      second.destroy()
      const third = await connected(version, stays)
      expect(await third.next('pubrel')).toMatchObject({ messageId: first.messageId })
      expect(publishes(third)).toEqual([])
    },
  )

  test.each([
    ['retained', true],
    ['not retained', false],
  ])(
    'a will is published %s as it was asked for, once, and not after a normal goodbye [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-9] [MQTT-3.1.2-10] [MQTT-3.1.2-14] [MQTT-3.1.2-15] [MQTT3-3.1.2-8] [MQTT3-3.1.2-9] [MQTT3-3.1.2-10] [MQTT3-3.1.2-16] [MQTT3-3.1.2-17] [MQTT3-3.14.4-3]',
    async (_name, retain) => {
      const watcher = await connected(version, bob)
      await subscribe(watcher, ['will/#', 1])
      const will = (topic: string) => ({ topic, payload: Buffer.from('gone'), qos: 1, retain }) as const
      const polite = await connected(version, { clientId: 'polite', will: will('will/polite') })
      polite.send(encode({ cmd: 'disconnect' }, version))
      await polite.untilClosed()
      const broken = await connected(version, { clientId: 'broken', will: will('will/broken') })
      broken.destroy()
      await watcher.next('publish')
      const late = await connected(version, { ...bob, clientId: 'late' })
      await subscribe(late, ['will/#', 1])
      await ping(late)
      await ping(watcher)
      expect(publishes(watcher).map(({ topic }) => topic)).toEqual(['will/broken'])
      expect(publishes(late).map(({ topic }) => topic)).toEqual(retain ? ['will/broken'] : [])
    },
  )

  test('retained messages are kept, replaced and removed [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT-3.3.1-8] [MQTT-3.3.1-9] [MQTT-3.8.4-4] [MQTT3-3.3.1-5] [MQTT3-3.3.1-6] [MQTT3-3.3.1-7] [MQTT3-3.3.1-8] [MQTT3-3.3.1-10] [MQTT3-3.3.1-11] [MQTT3-3.3.1-12]', async () => {
    const sender = await connected(version, bob)
    const keptAfter = async (payload: string, retain: boolean): Promise<unknown[]> => {
      sender.send(encode({ ...message, payload, retain }, version))
      await ping(sender)
      const client = await connected(version)
      await subscribe(client, ['a/#', 1])
      await ping(client)
      return publishes(client).map((packet) => [packet.payload.toString(), packet.retain])
    }
    expect(await keptAfter('first', true)).toEqual([['first', true]])
    expect(await keptAfter('second', true)).toEqual([['second', true]])
    expect(await keptAfter('plain', false)).toEqual([['second', true]])
    expect(await keptAfter('', false)).toEqual([['second', true]])
    expect(await keptAfter('', true)).toEqual([])
  })

  test('what is retained stays when the session that sent it is gone [MQTT3-3.1.2-7]', async () => {
    const sender = await connected(version, bob)
    sender.send(encode({ ...message, retain: true }, version))
    await ping(sender)
    sender.send(encode({ cmd: 'disconnect' }, version))
    await sender.untilClosed()
    const client = await connected(version)
    await subscribe(client, ['a/#', 1])
    await client.next('publish')
  })

  test('a message for subscriptions that are there has no retain flag, an empty one neither [MQTT-3.3.1-12] [MQTT-3.3.1-6] [MQTT3-3.3.1-9] [MQTT3-3.3.1-10]', async () => {
    const client = await connected(version)
    await subscribe(client, ['a/b', 1])
    for (const payload of ['kept', '']) client.send(encode({ ...message, payload, retain: true }, version))
    await ping(client)
    expect(publishes(client).map((packet) => [packet.payload.toString(), packet.retain])).toEqual([
      ['kept', false],
      ['', false],
    ])
  })

  test('SUBSCRIBE is answered with its packet id and a code for each filter in order [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1] [MQTT-3.9.3-2] [MQTT-2.2.1-6] [MQTT3-3.8.4-1] [MQTT3-3.8.4-2] [MQTT3-3.8.4-4] [MQTT3-3.8.4-5] [MQTT3-3.9.3-1] [MQTT3-3.9.3-2] [MQTT3-2.3.1-7]', async () => {
    const client = await connected(version)
    const answer = await subscribe(client, ['a', 2], ['b/#/c', 1], ['$SYS/#', 1], ['c', 0])
    const [invalid, denied] = version === 5 ? [0x8f, 0x87] : [0x80, 0x80]
    expect(answer).toMatchObject({ messageId: 7, granted: [2, invalid, denied, 0] })
  })

  test('UNSUBSCRIBE is answered with its packet id, whether there was one, and ends deliveries [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2] [MQTT-2.2.1-6] [MQTT3-3.10.4-1] [MQTT3-3.10.4-2] [MQTT3-3.10.4-4] [MQTT3-3.10.4-5] [MQTT3-3.10.4-6] [MQTT3-2.3.1-7]', async () => {
    const client = await connected(version)
    await subscribe(client, ['a/b', 1], ['c', 1])
    const unsubscriptions = ['a/b', 'a/+', 'C']
    const answer = await ask(
      client,
      { cmd: 'unsubscribe', messageId: 9, unsubscriptions },
      'unsuback',
      version,
    )
    expect(answer).toMatchObject({ messageId: 9, ...(version === 5 ? { granted: [0, 0x11, 0x11] } : {}) })
    for (const topic of ['a/b', 'c']) client.send(encode({ ...message, topic }, version))
    await ping(client)
    expect(publishes(client).map(({ topic }) => topic)).toEqual(['c'])
  })

  test('a message under way is completed after UNSUBSCRIBE [MQTT-3.10.4-3] [MQTT3-3.10.4-3]', async () => {
    const client = await connected(version)
    await subscribe(client, ['a/b', 2])
    client.send(encode({ ...message, qos: 2, messageId: 1 }, version))
    const { messageId = 0 } = await client.next('publish')
    await ask(client, { cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['a/b'] }, 'unsuback', version)
    expect(await ask(client, { cmd: 'pubrec', messageId }, 'pubrel', version)).toMatchObject({ messageId })
  })

  test('PUBLISH is answered as its QoS asks, with its packet id [MQTT-3.3.4-1] [MQTT-2.2.1-5] [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-4.3.3-11] [MQTT-4.3.2-5] [MQTT-2.2.1-2] [MQTT3-3.3.4-1] [MQTT3-2.3.1-6] [MQTT3-4.3.2-2] [MQTT3-2.3.1-5]', async () => {
    const client = await connected(version)
    client.send(encode(message, version))
    await ping(client)
    expect(client.packets.map(({ cmd }) => cmd)).toEqual(['connack', 'pingresp'])
    for (let times = 0; times < 2; times += 1) {
      expect(await ask(client, { ...message, qos: 1, messageId: 3 }, 'puback', version)).toMatchObject({
        messageId: 3,
      })
    }
    expect(await ask(client, { ...message, qos: 2, messageId: 4 }, 'pubrec', version)).toMatchObject({
      messageId: 4,
    })
    expect(await ask(client, { cmd: 'pubrel', messageId: 4 }, 'pubcomp', version)).toMatchObject({
      messageId: 4,
    })
  })

  test('messages of the server have packet ids of their own that are not zero [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT-3.3.1-2] [MQTT-4.3.1-1] [MQTT3-2.3.1-4] [MQTT3-4.3.2-1] [MQTT3-4.3.1-1] [MQTT3-4.3.3-1]', async () => {
    const client = await connected(version)
    await subscribe(client, ['a/b', 2])
    for (const qos of [0, 1, 2, 1] as const) {
      client.send(encode({ ...message, qos, messageId: 3 + publishes(client).length }, version))
    }
    await expect.poll(() => publishes(client).length).toBe(4)
    const ids = publishes(client).flatMap(({ qos, messageId }) => (qos > 0 ? [messageId] : []))
    expect(new Set(ids).size).toBe(3)
    expect(ids).not.toContain(0)
    expect(publishes(client).some(({ dup }) => dup)).toBe(false)
  })

  test('what may not be published is answered all the same [MQTT3-3.3.5-2]', async () => {
    const client = await connected(version)
    const answer = await ask(client, { ...message, topic: '$SYS/x', qos: 1, messageId: 1 }, 'puback', version)
    expect(answer).toMatchObject({ messageId: 1, ...(version === 5 ? { reasonCode: 0x87 } : {}) })
  })
})
