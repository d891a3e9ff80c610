import type { IClientOptions } from 'mqtt'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { emptyPolicy } from '#core/access/access-policy.ts'
import { reason } from '../../broker/wire/reason-codes.ts'
import {
  allow,
  useClients,
  deny,
  everything,
  startTestBroker,
  type TestBroker,
  type TestClient,
} from '../fixtures/broker.ts'
import { eventually } from '../fixtures/eventually.ts'
import { anOrganizationId as org } from '../fixtures/records.ts'

/** What the rules say reaches the wire: with real clients, of who is granted a filter that overlaps a deny. */
let broker: TestBroker
let ada: TestClient

beforeEach(async () => {
  broker = await startTestBroker()
  await broker.addOrganization()
  await broker.addUser('ada', everything)
  await broker.addUser('bob', [
    allow(['subscribe'], '#'),
    deny(['subscribe'], 'secret/+', 'users/{claims.team}/log'),
  ])
  ada = await connect('ada')
})
afterEach(async () => {
  await broker.stop()
})
const connectTo = useClients()

async function connect(local: string, options: IClientOptions = {}): Promise<TestClient> {
  return connectTo(`mqtt://127.0.0.1:${broker.port}`, local, {
    protocolVersion: 5,
    ...options,
  })
}

const topicsOf = (client: TestClient): string[] => client.received.map(({ topic }) => topic)

async function publish(retain: boolean, ...topics: readonly string[]): Promise<void> {
  for (const topic of topics) await ada.mqtt.publishAsync(topic, 'x', { qos: 1, retain })
}

const asked = ['secret/1', 'secret', 'secret/1/2', 'users/red/log', 'users/red', 'end'] as const
const readable = ['secret', 'secret/1/2', 'users/red', 'end']

describe('a subscription that overlaps a deny brings what is not denied', () => {
  test('of what is published, at every QoS', async () => {
    const bob = await connect('bob')
    expect(await bob.mqtt.subscribeAsync('#', { qos: 2 })).toMatchObject([{ qos: 2 }])
    await publish(false, ...asked)
    for (const qos of [0, 2] as const) await ada.mqtt.publishAsync('secret/1', 'x', { qos })
    await publish(false, 'end')
    await eventually(
      'all of it is there',
      () => topicsOf(bob).filter((topic) => topic === 'end').length === 2,
    )
    expect(topicsOf(bob)).toEqual([...readable, 'end'])
  })

  test('of what is retained', async () => {
    await publish(true, ...asked)
    const bob = await connect('bob')
    await bob.mqtt.subscribeAsync('#', { qos: 1 })
    await eventually('all of it is there', () => bob.received.length >= readable.length)
    await publish(false, 'end')
    await eventually('and nothing more', () => topicsOf(bob).filter((topic) => topic === 'end').length === 2)
    expect(topicsOf(bob).toSorted()).toEqual([...readable, 'end'].toSorted())
  })

  test('of what waited while the client was away', async () => {
    const session = { clientId: 'device', clean: false, properties: { sessionExpiryInterval: 60 } }
    const bob = await connect('bob', session)
    await bob.mqtt.subscribeAsync('#', { qos: 1 })
    await bob.mqtt.endAsync()
    await publish(false, ...asked)
    const again = await connect('bob', session)
    expect(again.sessionPresent).toBe(true)
    await eventually('all of it is there', () => topicsOf(again).includes('end'))
    expect(topicsOf(again)).toEqual(readable)
  })
})

test('a filter that lies inside a deny is refused, one beside it is not asked for', async () => {
  const bob = await connect('bob')
  const granted = await bob.mqtt
    .subscribeAsync(['secret/1', 'secret/+', 'users/+/log'], { qos: 1 })
    .catch((error: { packet: { granted: number[] } }) => error.packet.granted)
  expect(granted).toEqual([reason.notAuthorized, reason.notAuthorized, reason.notAuthorized])
  expect(await bob.mqtt.subscribeAsync('secret/#', { qos: 1 })).toMatchObject([{ qos: 1 }])
})

test('a rule lowers the QoS of a subscription, refuses a higher publish, and may refuse retained ones', async () => {
  await broker.addUser('eve', [{ ...allow(['publish', 'subscribe'], 'a/#'), maxQos: 1, retain: false }])
  const eve = await connect('eve')
  expect(await eve.mqtt.subscribeAsync('a/#', { qos: 2 })).toMatchObject([{ qos: 1 }])
  await ada.mqtt.publishAsync('a/x', 'x', { qos: 2 })
  await eventually('it arrives', () => eve.received.length === 1)
  expect(eve.received).toMatchObject([{ qos: 1 }])
  await eve.mqtt.publishAsync('a/x', 'x', { qos: 1 })
  for (const options of [{ qos: 2 }, { qos: 1, retain: true }] as const) {
    await expect(eve.mqtt.publishAsync('a/x', 'x', options)).rejects.toMatchObject({
      code: reason.notAuthorized,
    })
  }
})

test('a credential does no more than its key and its request let it, for whoever it is', async () => {
  await broker.identities.put('access-list', org, 'members', {
    rules: [allow(['publish', 'subscribe'], 'rooms/#')],
  })
  await broker.identities.put('access-list', org, 'key', {
    rules: [allow(['publish', 'subscribe'], 'rooms/+/{user_id}')],
  })
  await broker.addCredential('tmp_1', [], 60, {
    attributes: { user_id: 'alice' },
    access: {
      ...emptyPolicy,
      lists: ['members'],
      ceilings: [['key']],
      narrowing: [allow(['publish', 'subscribe'], 'rooms/1/#')],
    },
  })
  const alice = await connect('tmp_1')
  await alice.mqtt.publishAsync('rooms/1/alice', 'x', { qos: 1 })
  for (const topic of ['rooms/1/bob', 'rooms/2/alice', 'rooms/1', 'rooms/1/alice/x']) {
    await expect(alice.mqtt.publishAsync(topic, 'x', { qos: 1 })).rejects.toMatchObject({
      code: reason.notAuthorized,
    })
  }
  expect(await alice.mqtt.subscribeAsync('rooms/1/alice', { qos: 1 })).toMatchObject([{ qos: 1 }])
  await expect(alice.mqtt.subscribeAsync('rooms/1/#', { qos: 1 })).rejects.toThrow()
})

test('a list that is taken away denies everything that it may have denied', async () => {
  await broker.identities.put('access-list', org, 'all', { rules: [...everything] })
  await broker.identities.put('access-list', org, 'less', { rules: [deny(['subscribe'], 'secret/#')] })
  await broker.addUser('carl', [], { access: { ...emptyPolicy, lists: ['all', 'less'] } })
  const carl = await connect('carl')
  await carl.mqtt.subscribeAsync('news', { qos: 1 })
  await broker.identities.remove('access-list', org, 'less')
  await eventually('nothing is allowed', async () => {
    const refused = await carl.mqtt.publishAsync('news', 'x', { qos: 1 }).catch(() => true)
    return refused === true
  })
  await expect(carl.mqtt.subscribeAsync('other', { qos: 1 })).rejects.toThrow()
  carl.received.length = 0
  await publish(false, 'news')
  await carl.mqtt.publishAsync('news', 'x', { qos: 1 }).catch(() => {})
  expect(topicsOf(carl)).toEqual([])
})
