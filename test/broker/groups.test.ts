import type { IClientOptions } from 'mqtt'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { allow, connectClient, deny, type TestClient } from '../fixtures/broker.ts'
import { eventually } from '../fixtures/eventually.ts'
import { connectBytes, encode, rawClient, type RawClient } from '../fixtures/raw-client.ts'
import { type SessionBrokers, startInMemory, startOnRedis } from '../fixtures/session-brokers.ts'

const shared = '$share/workers/jobs/#'

/** Members and publishers are on both replicas; in memory both are the same. */
describe.each([
  ['in memory', startInMemory],
  ['on two replicas', startOnRedis],
] as const)('a group %s', (_name, start) => {
  let brokers: SessionBrokers
  const clients: TestClient[] = []
  const raws: RawClient[] = []

  beforeEach(async () => {
    brokers = await start()
  })
  afterEach(async () => {
    for (const raw of raws.splice(0)) raw.destroy()
    await Promise.all(clients.splice(0).map((client) => client.end()))
    await brokers.stop()
  })

  async function client(replica: number, options: IClientOptions = {}, local = 'ada'): Promise<TestClient> {
    const url = `mqtt://127.0.0.1:${brokers.ports[replica % 2]}`
    const connected = await connectClient(url, local, { protocolVersion: 5, ...options })
    clients.push(connected)
    return connected
  }

  async function members(count: number, qos: 0 | 1 | 2 = 2): Promise<TestClient[]> {
    return Promise.all(
      Array.from({ length: count }, async (_, index) => {
        // 3.1.1 clients are members too.
        const member = await client(index, { protocolVersion: index === 0 ? 4 : 5 })
        await member.mqtt.subscribeAsync(shared, { qos })
        return member
      }),
    )
  }

  /** The member answers nothing. */
  async function silentMember(qos: 1 | 2, over: object = {}): Promise<RawClient> {
    const raw = await rawClient(brokers.ports[0], 5)
    raws.push(raw)
    raw.send(connectBytes(5, { clientId: 'silent', ...over }))
    await raw.next('connack')
    raw.send(encode({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: shared, qos }] }, 5))
    await raw.next('suback')
    return raw
  }

  const publish = async (from: TestClient, count: number, qos: 0 | 1 | 2): Promise<string[]> => {
    const payloads = Array.from({ length: count }, (_, index) => `q${qos} ${index}`)
    await Promise.all(payloads.map((payload) => from.mqtt.publishAsync('jobs/1', payload, { qos })))
    return payloads
  }
  const payloadsOf = (some: readonly TestClient[]): string[] =>
    some.flatMap(({ received }) => received.map(({ payload }) => payload)).toSorted()

  test.each([0, 1, 2] as const)(
    'gives each message of QoS %i to one of its members, in turn',
    async (qos) => {
      const group = await members(4)
      const publishers = [await client(0), await client(1)]
      const sent = (await publish(publishers[0] as TestClient, 20, qos)).concat(
        await publish(publishers[1] as TestClient, 20, qos),
      )
      await eventually('all have come', () => payloadsOf(group).length === sent.length)
      expect(payloadsOf(group)).toEqual(sent.toSorted())
      expect(group.map(({ received }) => received.length)).toEqual([10, 10, 10, 10])
      for (const { received } of group) {
        expect(received.every((each) => each.qos === qos && each.topic === 'jobs/1' && !each.retain)).toBe(
          true,
        )
      }
    },
  )

  test('gives a member that also subscribes by itself both, at the QoS of each', async () => {
    const [member] = (await members(1)) as [TestClient]
    await member.mqtt.subscribeAsync('jobs/1', { qos: 0 })
    await publish(await client(1), 1, 2)
    await eventually('both come', () => member.received.length === 2)
    expect(member.received.map(({ qos }) => qos).toSorted()).toEqual([0, 2])
  })

  test('is apart from groups of another name, another filter and from those who subscribe themselves', async () => {
    const filters = [shared, '$share/others/jobs/#', '$share/workers/jobs/+', 'jobs/#']
    const everyone = await Promise.all(filters.map((_, index) => client(index)))
    for (const [index, each] of everyone.entries()) {
      await each.mqtt.subscribeAsync(filters[index] as string, { qos: 1 })
    }
    const sent = await publish(await client(0), 3, 1)
    for (const each of everyone) {
      await eventually('it has all', () => each.received.length === 3)
      expect(payloadsOf([each])).toEqual(sent.toSorted())
    }
  })

  test('gets no retained messages for its subscription, and what its members publish [MQTT-3.3.1-9]', async () => {
    const publisher = await client(0)
    await publisher.mqtt.publishAsync('jobs/kept', 'kept', { qos: 1, retain: true })
    const [member] = (await members(1)) as [TestClient]
    await member.mqtt.publishAsync('jobs/1', 'own', { qos: 1 })
    await eventually('its own comes', () => member.received.length === 1)
    expect(member.received).toMatchObject([{ payload: 'own' }])
  })

  test('loses nothing with a member that dies before it has acknowledged', async () => {
    const silent = await silentMember(1)
    const sent = await publish(await client(1), 5, 1)
    await eventually('the silent one has all', () => {
      return silent.packets.filter(({ cmd }) => cmd === 'publish').length === sent.length
    })
    const heirs = [await client(0), await client(1)]
    for (const heir of heirs) await heir.mqtt.subscribeAsync(shared, { qos: 1 })
    silent.destroy()
    await eventually('the others have all', () => payloadsOf(heirs).length === sent.length)
    expect(payloadsOf(heirs)).toEqual(sent.toSorted())
  })

  test('gives a member no higher QoS than it was granted [MQTT-4.8.2-3]', async () => {
    const [member] = (await members(1, 1)) as [TestClient]
    await publish(await client(1), 1, 2)
    await eventually('it comes', () => member.received.length === 1)
    expect(member.received).toMatchObject([{ qos: 1 }])
  })

  test('gives to nobody else what a member has refused [MQTT-4.8.2-6]', async () => {
    const refusing = await silentMember(1)
    const publisher = await client(1)
    await publish(publisher, 1, 1)
    const { messageId } = (await refusing.next('publish')) as { messageId: number }
    refusing.send(encode({ cmd: 'puback', messageId, reasonCode: 0x80 }, 5))
    const other = await client(0)
    await other.mqtt.subscribeAsync(shared, { qos: 1 })
    refusing.send(encode({ cmd: 'disconnect' }, 5))
    await refusing.untilClosed()
    const later = await publish(publisher, 2, 2)
    await eventually('the later ones come', () => other.received.length >= later.length)
    expect(payloadsOf([other])).toEqual(later.toSorted())
  })

  /** The member is sent a message of QoS 2 and goes; another, who comes meanwhile, gets what is published then. */
  async function expectOnlyLaterOnes(silent: RawClient): Promise<void> {
    await publish(await client(1), 1, 2)
    await silent.next('publish')
    const other = await client(1)
    await other.mqtt.subscribeAsync(shared, { qos: 2 })
    silent.destroy()
    const later = await publish(await client(1), 2, 1)
    await eventually('the other has the later ones', () => other.received.length >= later.length)
    expect(payloadsOf([other])).toEqual(later.toSorted())
  }

  test('never gives a QoS 2 message to another than the one it was sent to, also when that is gone for good [MQTT-4.8.2-5]', async () => {
    const silent = await silentMember(2)
    await expectOnlyLaterOnes(silent)
  })

  test('completes a QoS 2 message with the member that it was sent to [MQTT-4.8.2-4]', async () => {
    const properties = { sessionExpiryInterval: 60 }
    const silent = await silentMember(2, { clean: false, properties })
    await expectOnlyLaterOnes(silent)
    const back = await rawClient(brokers.ports[1], 5)
    raws.push(back)
    back.send(connectBytes(5, { clientId: 'silent', clean: false, properties }))
    expect(await back.next('publish')).toMatchObject({ qos: 2, dup: true, topic: 'jobs/1' })
  })

  test('keeps messages for members that are away, and gives them to the first that is back', async () => {
    const options = { clean: false, properties: { sessionExpiryInterval: 60 } } as const
    for (const clientId of ['one', 'two']) {
      const member = await client(0, { ...options, clientId })
      await member.mqtt.subscribeAsync(shared, { qos: 1 })
      await member.end()
    }
    const sent = await publish(await client(0), 30, 1)
    const back = await client(1, { ...options, clientId: 'two' })
    await eventually('all come', () => back.received.length === sent.length)
    expect(back.received.map(({ payload }) => payload)).toEqual(sent)
  })

  test('passes by who has left, by UNSUBSCRIBE or by losing the right to it', async () => {
    const [staying, leaving] = (await members(2)) as [TestClient, TestClient]
    const losing = await client(1, {}, 'bob')
    await losing.mqtt.subscribeAsync(shared, { qos: 1 })
    await leaving.mqtt.unsubscribeAsync(shared)
    for (const broker of brokers.brokers) {
      await broker.addUser('bob', [allow(['publish', 'subscribe'], '#'), deny(['subscribe'], 'jobs/#')])
    }
    const publisher = await client(0)
    const count = (): number => payloadsOf([staying, leaving, losing]).length
    await eventually('all of a round come to the one that is left', async () => {
      const [before, all] = [staying.received.length, count()]
      await publish(publisher, 4, 1)
      await eventually('a round has come', () => count() === all + 4)
      return staying.received.length === before + 4
    })
    expect(leaving.received).toEqual([])
  })

  test('is judged by its filter', async () => {
    for (const broker of brokers.brokers) await broker.addUser('bob', [allow(['subscribe'], 'jobs/#')])
    const bob = await client(0, {}, 'bob')
    const granted = await bob.mqtt
      .subscribeAsync({ [shared]: { qos: 2 }, '$share/workers/#': { qos: 1 } })
      .catch((error: Error & { packet?: { granted: number[] } }) => error.packet?.granted)
    expect(granted).toEqual([2, 0x87])
  })

  test('tells the subscription identifier of its own subscription', async () => {
    const member = await client(0)
    const identifiers: unknown[] = []
    member.mqtt.on('message', (_topic, _payload, packet) => {
      identifiers.push(packet.properties?.subscriptionIdentifier)
    })
    await member.mqtt.subscribeAsync(shared, { qos: 1, properties: { subscriptionIdentifier: 7 } })
    await member.mqtt.subscribeAsync('other', { qos: 1, properties: { subscriptionIdentifier: 8 } })
    for (const qos of [0, 1] as const) await publish(await client(1), 1, qos)
    await eventually('both come', () => identifiers.length === 2)
    expect(identifiers).toEqual([7, 7])
  })
})
