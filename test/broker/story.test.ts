import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { eventually } from '../fixtures/eventually.ts'
import {
  allow,
  connectClient,
  useClients,
  deny,
  everything,
  startTestBroker,
  type TestBroker,
  type TestClient,
} from '../fixtures/broker.ts'
import { anOrganizationId, anotherOrganizationId } from '../fixtures/records.ts'
import { reason } from '../../broker/wire/reason-codes.ts'

let broker: TestBroker
let url: string

beforeEach(async () => {
  broker = await startTestBroker()
  url = `mqtt://127.0.0.1:${broker.port}`
  await broker.addOrganization()
})

afterEach(async () => {
  await broker.stop()
})
const connectTo = useClients()

async function connect(
  ...parameters: Parameters<typeof connectClient> extends [string, ...infer Rest] ? Rest : never
): Promise<TestClient> {
  return connectTo(url, ...parameters)
}

/** Long enough for a message that should not come to have come: a marker sent after it has arrived. */
async function afterMarker(sender: TestClient, receiver: TestClient, topic: string): Promise<void> {
  await sender.mqtt.publishAsync(topic, 'marker', { qos: 1 })
  await eventually('the marker arrives', () => receiver.received.some(({ payload }) => payload === 'marker'))
}

describe.each([
  ['3.1.1', 4],
  ['5', 5],
] as const)('with MQTT %s', (_name, protocolVersion) => {
  test('a message of each QoS reaches a subscriber', async () => {
    await broker.addUser('ada', everything)
    await broker.addUser('bob', everything)
    const [ada, bob] = [await connect('ada', { protocolVersion }), await connect('bob', { protocolVersion })]
    await bob.mqtt.subscribeAsync('news/#', { qos: 2 })
    for (const qos of [0, 1, 2] as const) await ada.mqtt.publishAsync('news/today', `qos ${qos}`, { qos })
    await eventually('all three arrive', () => bob.received.length === 3)
    expect(bob.received).toEqual(
      [0, 1, 2].map((qos) => ({ topic: 'news/today', payload: `qos ${qos}`, qos, retain: false })),
    )
  })

  test('identity variables of the access list are filled in, and what it does not allow is refused', async () => {
    const rules = [
      allow(['publish', 'subscribe'], 'users/{username}/#'),
      deny(['publish'], 'users/{username}/log'),
    ]
    await broker.addUser('ada', rules)
    await broker.addUser('bob', everything)
    const [ada, bob] = [await connect('ada', { protocolVersion }), await connect('bob', { protocolVersion })]
    await bob.mqtt.subscribeAsync('#', { qos: 1 })
    expect(await grants(ada, 'users/ada/#', 'users/bob/#', '#')).toEqual(
      protocolVersion === 5 ? [1, reason.notAuthorized, reason.notAuthorized] : [1, 0x80, 0x80],
    )
    await publishIgnoringRefusal(ada, 'users/bob/inbox', 'stolen')
    await publishIgnoringRefusal(ada, 'users/ada/log', 'denied')
    await publishIgnoringRefusal(ada, 'users/ada/inbox', 'mine')
    await afterMarker(ada, bob, 'users/ada/inbox')
    expect(bob.received.map(({ payload }) => payload)).toEqual(['mine', 'marker'])
  })

  test('a wrong password, an unknown user, another organization and a missing name get one and the same answer', async () => {
    await broker.addUser('ada', everything)
    const badCredentials = protocolVersion === 5 ? reason.badUserNameOrPassword : 4
    for (const options of [
      { password: 'wrong' },
      { username: 'nobody@org_k7xm4pqr2n5t' },
      { username: 'ada@org_aaaabbbbcccc' },
      { username: 'ada' },
      { username: 'ADA@org_k7xm4pqr2n5t' },
      { password: '' },
    ]) {
      await expect(connect('ada', { protocolVersion, ...options })).rejects.toMatchObject({
        code: badCredentials,
      })
    }
    await connect('ada', { protocolVersion })
  })

  test('two organizations with the same names, client ids and topics never meet', async () => {
    await broker.addOrganization({}, anotherOrganizationId)
    for (const organization of ['org_k7xm4pqr2n5t', anotherOrganizationId] as const) {
      await broker.addUser('ada', everything, {}, organization)
      await broker.addUser('bob', everything, {}, organization)
    }
    const at = (organization: 'org_k7xm4pqr2n5t' | typeof anotherOrganizationId) =>
      connect('ada', { protocolVersion, clientId: 'same', organization })
    const [here, there] = [await at('org_k7xm4pqr2n5t'), await at(anotherOrganizationId)]
    await here.mqtt.subscribeAsync('#', { qos: 1 })
    await there.mqtt.subscribeAsync('#', { qos: 1 })
    const bob = await connect('bob', { protocolVersion, organization: anotherOrganizationId })
    await bob.mqtt.publishAsync('t', 'retained there', { qos: 1, retain: true })
    await afterMarker(here, here, 'here')
    expect(here.received.map(({ payload }) => payload)).toEqual(['marker'])
    expect(there.received.map(({ payload }) => payload)).toEqual(['retained there'])
    expect(here.closed()).toBe(false)
    const late = await connect('bob', { protocolVersion })
    await late.mqtt.subscribeAsync('#', { qos: 1 })
    await afterMarker(late, late, 'x')
    expect(late.received.map(({ payload }) => payload)).toEqual(['marker'])
  })

  test('deleting a user closes its live connection and kills its password', async () => {
    await broker.addUser('ada', everything)
    await broker.addUser('bob', everything)
    const [ada, bob] = [await connect('ada', { protocolVersion }), await connect('bob', { protocolVersion })]
    await broker.identities.remove('user', 'org_k7xm4pqr2n5t', 'ada')
    await eventually('the connection is closed', () => ada.closed())
    if (protocolVersion === 5) expect(ada.goodbyes).toEqual([reason.administrativeAction])
    await expect(connect('ada', { protocolVersion })).rejects.toMatchObject({ message: expect.any(String) })
    expect(bob.closed()).toBe(false)
  })

  test('a temporary credential is closed and dead when its time is over, also without any traffic', async () => {
    await broker.addCredential('tmp_1', everything, 1)
    const client = await connect('tmp_1', { protocolVersion, keepalive: 0 })
    await client.mqtt.subscribeAsync('t')
    expect(client.closed()).toBe(false)
    await eventually('the connection is closed', () => client.closed(), 3_000)
    if (protocolVersion === 5) expect(client.goodbyes).toEqual([reason.maximumConnectTime])
    await expect(connect('tmp_1', { protocolVersion })).rejects.toThrow()
  })

  test('a temporary credential that is prolonged in time keeps its connection, and its password', async () => {
    await broker.addCredential('tmp_3', everything, 1)
    const client = await connect('tmp_3', { protocolVersion })
    expect(await broker.credentials.extend(anOrganizationId, 'tmp_3', 60, 3_600)).toBeDefined()
    await pause(1_300)
    expect(client.mqtt.connected).toBe(true)
    await client.mqtt.publishAsync('still', 'here', { qos: 1 })
    await connect('tmp_3', { protocolVersion, clientId: 'another' })
  })

  test('a revoked credential is closed at once and dead', async () => {
    await broker.addCredential('tmp_1', everything, 60)
    const client = await connect('tmp_1', { protocolVersion })
    await broker.credentials.revoke('org_k7xm4pqr2n5t', 'tmp_1')
    await eventually('the connection is closed', () => client.closed())
    await expect(connect('tmp_1', { protocolVersion })).rejects.toThrow()
  })

  test('a suspended organization or user is closed, and nobody of it gets in until it no longer is', async () => {
    await broker.addUser('ada', everything)
    await broker.addUser('bob', everything)
    const [ada, bob] = [await connect('ada', { protocolVersion }), await connect('bob', { protocolVersion })]
    await broker.addUser('ada', everything, { suspended: true })
    await eventually('ada is closed', () => ada.closed())
    await expect(connect('ada', { protocolVersion })).rejects.toMatchObject({ message: expect.any(String) })
    expect(bob.closed()).toBe(false)
    await broker.addOrganization({ suspended: true })
    await eventually('bob is closed', () => bob.closed())
    await expect(connect('bob', { protocolVersion })).rejects.toMatchObject({ message: expect.any(String) })
    await broker.addOrganization()
    await connect('bob', { protocolVersion })
  })

  test('an edited access list takes subscriptions away from live connections', async () => {
    await broker.addUser('ada', everything)
    await broker.addUser('bob', [], { access: { lists: ['readers'], rules: [], ceilings: [] } })
    await broker.identities.put('access-list', 'org_k7xm4pqr2n5t', 'readers', {
      rules: [allow(['subscribe'], 'news/#'), allow(['subscribe'], 'chat/#')],
    })
    const [ada, bob] = [await connect('ada', { protocolVersion }), await connect('bob', { protocolVersion })]
    expect(await grants(bob, 'news/#', 'chat/#')).toEqual([1, 1])
    await broker.identities.put('access-list', 'org_k7xm4pqr2n5t', 'readers', {
      rules: [allow(['subscribe'], 'chat/#')],
    })
    await eventually('news no longer arrive', async () => {
      bob.received.length = 0
      await ada.mqtt.publishAsync('news/today', 'news', { qos: 1 })
      await afterMarker(ada, bob, 'chat/1')
      return !bob.received.some(({ payload }) => payload === 'news')
    })
    expect(bob.closed()).toBe(false)
  })

  test('the last connection of a client id wins, and only of the same user', async () => {
    await broker.addUser('ada', everything)
    await broker.addUser('bob', everything)
    const first = await connect('ada', { protocolVersion, clientId: 'same' })
    const bob = await connect('bob', { protocolVersion, clientId: 'same' })
    const second = await connect('ada', { protocolVersion, clientId: 'same' })
    await eventually('the first one is closed', () => first.closed())
    if (protocolVersion === 5) expect(first.goodbyes).toEqual([reason.sessionTakenOver])
    expect([second.closed(), bob.closed()]).toEqual([false, false])
  })

  test('retained messages reach later subscribers who may read them', async () => {
    await broker.addUser('ada', everything)
    await broker.addUser('bob', [allow(['subscribe'], '#'), deny(['subscribe'], 'secret/#')])
    const ada = await connect('ada', { protocolVersion })
    await ada.mqtt.publishAsync('news/today', 'kept', { qos: 1, retain: true })
    await ada.mqtt.publishAsync('secret/plan', 'kept', { qos: 1, retain: true })
    const bob = await connect('bob', { protocolVersion })
    await bob.mqtt.subscribeAsync('#', { qos: 1 })
    await ada.mqtt.publishAsync('secret/plan', 'live', { qos: 1 })
    await afterMarker(ada, bob, 'x')
    expect(bob.received.map(({ topic, retain }) => [topic, retain])).toEqual([
      ['news/today', true],
      ['x', false],
    ])
  })

  test('a will is published when the connection breaks, not after DISCONNECT, and not without the right', async () => {
    await broker.addUser('ada', everything)
    await broker.addUser('bob', [allow(['publish'], 'bob/#')])
    const watcher = await connect('ada', { protocolVersion })
    await watcher.mqtt.subscribeAsync('#', { qos: 1 })
    const will = (topic: string) => ({ topic, payload: Buffer.from('gone'), qos: 1, retain: false }) as const
    await expect(connect('bob', { protocolVersion, will: will('ada/x') })).rejects.toMatchObject({
      code: protocolVersion === 5 ? reason.notAuthorized : 5,
    })
    const polite = await connect('bob', { protocolVersion, will: will('bob/polite') })
    await polite.mqtt.endAsync()
    const broken = await connect('bob', { protocolVersion, will: will('bob/broken') })
    broken.mqtt.stream.destroy()
    await eventually('the will arrives', () => watcher.received.length > 0)
    expect(watcher.received.map(({ topic }) => topic)).toEqual(['bob/broken'])
  })

  test('a session keeps its subscriptions and messages while its client is away, for its own user only', async () => {
    await broker.addUser('ada', everything)
    await broker.addUser('bob', everything)
    const persistent = {
      protocolVersion,
      clientId: 'device',
      clean: false,
      ...(protocolVersion === 5 ? { properties: { sessionExpiryInterval: 3600 } } : {}),
    }
    const first = await connect('bob', persistent)
    expect(first.sessionPresent).toBe(false)
    await first.mqtt.subscribeAsync({ 'news/#': { qos: 1 }, 'other/#': { qos: 2 } })
    await first.mqtt.endAsync()
    const ada = await connect('ada', { protocolVersion })
    for (let index = 0; index < 5; index += 1) await ada.mqtt.publishAsync('news/x', `${index}`, { qos: 1 })
    await ada.mqtt.publishAsync('other/x', 'exactly once', { qos: 2 })
    const thief = await connect('ada', persistent)
    expect(thief.sessionPresent).toBe(false)
    const second = await connect('bob', persistent)
    expect(second.sessionPresent).toBe(true)
    await eventually('what waited arrives', () => second.received.length === 6)
    expect(second.received.map(({ payload }) => payload)).toEqual(['0', '1', '2', '3', '4', 'exactly once'])
    await second.mqtt.endAsync()
    const third = await connect('bob', persistent)
    await afterMarker(ada, third, 'news/x')
    expect(third.received.map(({ payload }) => payload)).toEqual(['marker'])
    expect(thief.received).toEqual([])
  })
})

async function grants(client: TestClient, ...filters: string[]): Promise<number[]> {
  return new Promise((resolve) => {
    client.mqtt.once('packetreceive', (packet) => resolve((packet as { granted: number[] }).granted))
    client.mqtt.subscribe(filters, { qos: 1 }, () => {})
  })
}

async function publishIgnoringRefusal(client: TestClient, topic: string, payload: string): Promise<void> {
  await client.mqtt.publishAsync(topic, payload, { qos: 1 }).catch(() => {})
}
