import { connect as connectSocket } from 'node:net'
import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { emptyPolicy } from '#core/access/access-policy.ts'
import type { AccessRule } from '#core/access/access-rule.ts'
import type { CredentialRecord } from '#core/credentials/credential-record.ts'
import type { Principal } from '#core/identity/principal.ts'
import { MemoryControlLog } from '#core/stores/memory-control-log.ts'
import { MemoryIdentityStore } from '#core/stores/memory-identity-store.ts'
import type { BrokerOptions } from '../../broker/broker.ts'
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
import { deafControlLog } from '../fixtures/deaf-control-log.ts'
import { eventually } from '../fixtures/eventually.ts'
import { anOrganization, anOrganizationId as org, aUser } from '../fixtures/records.ts'
import { connectBytes, encode } from '../fixtures/raw-client.ts'

let broker: TestBroker

beforeEach(async () => {
  broker = await startTestBroker({ limits: { dropAboveBytes: 200_000, disconnectAboveBytes: 400_000 } })
  await broker.addOrganization()
  await broker.addUser('ada', everything)
  await broker.addUser('bob', [], { access: { lists: ['list'], rules: [], ceilings: [] } })
  await setList(everything)
})

afterEach(async () => {
  await broker.stop()
})
const connectTo = useClients()

async function setList(rules: readonly AccessRule[]): Promise<void> {
  await broker.identities.put('access-list', org, 'list', { rules: [...rules] })
}

async function connect(
  local: string,
  options: Parameters<typeof connectClient>[2] = {},
): Promise<TestClient> {
  return connectTo(`mqtt://127.0.0.1:${broker.port}`, local, options)
}

/** Reads from there, and remembers nothing; but for what a test does instead. */
const readerOf = (
  identities: MemoryIdentityStore,
  over: Partial<BrokerOptions['identities']>,
): BrokerOptions['identities'] => ({
  get: (...parameters) => identities.get(...parameters),
  getMany: (...parameters) => identities.getMany(...parameters),
  list: (...parameters) => identities.list(...parameters),
  count: (...parameters) => identities.count(...parameters),
  findApiKey: (secret) => identities.findApiKey(secret),
  isReady: () => identities.isReady(),
  organizations: () => identities.organizations(),
  tombstoneOf: (organization) => identities.tombstoneOf(organization),
  tombstones: () => identities.tombstones(),
  recall: () => undefined,
  versionOf: () => undefined,
  ...over,
})

const payloads = (client: TestClient): string[] => client.received.map(({ payload }) => payload)

/** Until the edit has reached the connection of bob. */
async function untilBobLost(ada: TestClient, bob: TestClient, topic: string): Promise<void> {
  await eventually('the right is gone', async () => {
    bob.received.length = 0
    await ada.mqtt.publishAsync(topic, 'probe', { qos: 1 })
    await ada.mqtt.publishAsync('kept', 'marker', { qos: 1 })
    await eventually('the marker arrives', () => payloads(bob).includes('marker'))
    return !payloads(bob).includes('probe')
  })
  bob.received.length = 0
}

describe('a barrier', () => {
  test('closes the connections of its credentials and of nobody else, and no token of theirs comes back', async () => {
    const of = (principal: Principal, provider: string): Partial<CredentialRecord> => ({
      principal,
      provider,
    })
    await broker.addCredential('tmp_a', everything, 60, of('sub:a', 'clerk'))
    await broker.addCredential('tmp_b', everything, 60, of('sub:b', 'clerk'))
    await broker.addCredential('tmp_c', everything, 60, of('sub:c', 'firebase'))
    const [ada, a, b, c] = [
      await connect('ada'),
      await connect('tmp_a'),
      await connect('tmp_b', { protocolVersion: 5 }),
      await connect('tmp_c'),
    ]
    const closed = (): boolean[] => [ada, a, b, c].map((client) => client.closed())
    await broker.credentials.raiseBarrier(org, 'principal:sub:a')
    await eventually('the first is closed', () => a.closed())
    expect(closed()).toEqual([false, true, false, false])
    await broker.credentials.raiseBarrier(org, 'provider:clerk')
    await eventually('the second is closed', () => b.closed())
    expect(b.goodbyes).toEqual([0x98])
    expect(closed()).toEqual([false, true, true, false])
    await broker.credentials.raiseBarrier(org, 'organization')
    await eventually('the third is closed', () => c.closed())
    // Permanent users are suspended or deleted, by their resource.
    expect(ada.closed()).toBe(false)
    for (const local of ['tmp_a', 'tmp_b', 'tmp_c']) await expect(connect(local)).rejects.toThrow()
  })
})

describe('a right that is taken away', () => {
  test('and given back can be used again', async () => {
    const [ada, bob] = [await connect('ada'), await connect('bob')]
    await bob.mqtt.subscribeAsync({ 'news/#': { qos: 1 }, kept: { qos: 1 } })
    await setList([allow(['subscribe'], 'kept')])
    await untilBobLost(ada, bob, 'news/1')
    await setList(everything)
    await bob.mqtt.subscribeAsync('news/#', { qos: 1 })
    await ada.mqtt.publishAsync('news/1', 'again', { qos: 1 })
    await eventually('it arrives', () => payloads(bob).includes('again'))
  })

  test('with its whole list goes at once, by way of a credential too, and comes back with it', async () => {
    const access = { lists: ['list'], rules: [], ceilings: [] }
    await broker.addCredential('tmp_a', [], 60, { principal: 'sub:a', provider: 'clerk', access })
    const [ada, alice, keeper] = [await connect('ada'), await connect('tmp_a'), await connect('ada')]
    await alice.mqtt.subscribeAsync('news/#', { qos: 1 })
    await keeper.mqtt.subscribeAsync('news/#', { qos: 1 })
    await broker.identities.remove('access-list', org, 'list')
    await eventually('nothing reaches her', async () => {
      const before = alice.received.length
      const marker = `marker ${keeper.received.length}`
      await ada.mqtt.publishAsync('news/1', marker, { qos: 1 })
      await eventually('it arrives elsewhere', () => payloads(keeper).includes(marker))
      return alice.received.length === before
    })
    await expect(alice.mqtt.subscribeAsync('news/#', { qos: 1 })).rejects.toThrow()
    expect(alice.closed()).toBe(false)
    await setList(everything)
    await eventually('she may again', () =>
      alice.mqtt.subscribeAsync('news/#', { qos: 1 }).then(
        () => true,
        () => false,
      ),
    )
  })

  test('leaves nothing waiting for the session while its client is away', async () => {
    const session = { clientId: 'device', clean: false }
    const [ada, bob] = [await connect('ada'), await connect('bob', session)]
    await bob.mqtt.subscribeAsync({ 'news/#': { qos: 1 }, kept: { qos: 1 } })
    await setList([allow(['subscribe'], 'kept')])
    await untilBobLost(ada, bob, 'news/1')
    await bob.mqtt.endAsync()
    await ada.mqtt.publishAsync('news/1', 'secret', { qos: 1 })
    await ada.mqtt.publishAsync('kept', 'open', { qos: 1 })
    await setList(everything)
    const again = await connect('bob', session)
    await eventually('what waited arrives', () => again.received.length > 0)
    expect(payloads(again)).toEqual(['open'])
  })

  test('while the client is away is judged when it comes back', async () => {
    const session = { clientId: 'device', clean: false }
    const [ada, bob] = [await connect('ada'), await connect('bob', session)]
    await bob.mqtt.subscribeAsync({ 'news/#': { qos: 1 }, kept: { qos: 1 } })
    await bob.mqtt.endAsync()
    await ada.mqtt.publishAsync('news/1', 'secret', { qos: 1 })
    await ada.mqtt.publishAsync('kept', 'open', { qos: 1 })
    await setList([allow(['subscribe'], 'kept')])
    const again = await connect('bob', session)
    await eventually('what may be read arrives', () => again.received.length > 0)
    await ada.mqtt.publishAsync('news/1', 'secret', { qos: 1 })
    await ada.mqtt.publishAsync('kept', 'marker', { qos: 1 })
    await eventually('the marker arrives', () => payloads(again).includes('marker'))
    expect(payloads(again)).toEqual(['open', 'marker'])
  })

  test('takes the will with it', async () => {
    const ada = await connect('ada')
    await ada.mqtt.subscribeAsync('#', { qos: 1 })
    const will = (topic: string) => ({ topic, payload: Buffer.from('gone'), qos: 1, retain: false }) as const
    const [denied, allowed] = [
      await connect('bob', { will: will('a/denied') }),
      await connect('bob', { will: will('a/allowed') }),
    ]
    await denied.mqtt.subscribeAsync('b', { qos: 1 })
    await setList([
      allow(['publish', 'subscribe'], '#'),
      deny(['publish'], 'a/denied'),
      deny(['subscribe'], 'b'),
    ])
    await eventually('the edit has arrived', async () => {
      denied.received.length = 0
      await ada.mqtt.publishAsync('b', 'probe', { qos: 1 })
      return denied.received.length === 0
    })
    denied.mqtt.stream.destroy()
    allowed.mqtt.stream.destroy()
    await eventually('the other will arrives', () => payloads(ada).includes('gone'))
    expect(ada.received.filter(({ payload }) => payload === 'gone').map(({ topic }) => topic)).toEqual([
      'a/allowed',
    ])
  })
})

test('an MQTT 5 session without an expiry ends with its connection, also one that was taken up', async () => {
  const lasting = {
    clientId: 'x',
    clean: false,
    protocolVersion: 5,
    properties: { sessionExpiryInterval: 60 },
  } as const
  const first = await connect('bob', lasting)
  await first.mqtt.subscribeAsync('kept', { qos: 1 })
  await first.mqtt.endAsync()
  const ending = await connect('bob', { clientId: 'x', clean: false, protocolVersion: 5 })
  expect(ending.sessionPresent).toBe(true)
  await ending.mqtt.endAsync()
  await eventually('the session is gone', async () => {
    const last = await connect('bob', { ...lasting, properties: { sessionExpiryInterval: 0 } })
    await last.mqtt.endAsync()
    return !last.sessionPresent
  })
})

describe('a user who is deleted', () => {
  let controlLog: MemoryControlLog
  let identities: MemoryIdentityStore

  beforeEach(async () => {
    controlLog = new MemoryControlLog()
    identities = new MemoryIdentityStore(controlLog)
    await identities.markReady()
    await identities.put('organization', org, 'organization', anOrganization())
    const access = { ...emptyPolicy, rules: [...everything] }
    await identities.put('user', org, 'ada', aUser('ada', 'ada-password', { access }))
  })

  test('between the reading of the record and CONNACK does not stay', async () => {
    const racing = readerOf(identities, {
      getMany: async (...parameters) => {
        await identities.remove('user', org, 'ada')
        return identities.getMany(...parameters)
      },
    })
    const own = await startTestBroker({ identities: racing, controlLog })
    const ada = await connectClient(`mqtt://127.0.0.1:${own.port}`, 'ada').catch(() => undefined)
    if (ada !== undefined) await eventually('the connection is closed', () => ada.closed())
    await ada?.end()
    await own.stop()
  })

  test('in entries of the control log that were missed is found when the log says so', async () => {
    let gap: (() => void) | undefined
    const deaf: BrokerOptions['controlLog'] = {
      ...deafControlLog,
      follow: async (handler) => {
        gap = () => handler.gap()
        return { staleness: () => 0, close: async () => {} }
      },
    }
    const own = await startTestBroker({ identities, controlLog: deaf })
    const ada = await connectClient(`mqtt://127.0.0.1:${own.port}`, 'ada')
    await identities.remove('user', org, 'ada')
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(ada.closed()).toBe(false)
    gap?.()
    await eventually('the connection is closed', () => ada.closed())
    await ada.end()
    await own.stop()
  })
})

test('a revocation that meets a store which does not answer is carried out once it does', async () => {
  const controlLog = new MemoryControlLog()
  const identities = new MemoryIdentityStore(controlLog)
  let isAway = false
  const unsteady = readerOf(identities, {
    get: (...parameters) => (isAway ? Promise.reject(new Error('away')) : identities.get(...parameters)),
  })
  const own = await startTestBroker({ identities: unsteady, controlLog })
  await identities.markReady()
  await identities.put('organization', org, 'organization', anOrganization())
  const access = { ...emptyPolicy, rules: [...everything] }
  await identities.put('user', org, 'ada', aUser('ada', 'ada-password', { access }))
  const ada = await connectClient(`mqtt://127.0.0.1:${own.port}`, 'ada')
  isAway = true
  await identities.remove('user', org, 'ada')
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect(ada.closed()).toBe(false)
  isAway = false
  await eventually('the connection is closed', () => ada.closed())
  await ada.end()
  await own.stop()
})

describe('a client that does not read', () => {
  test('misses QoS 0 messages, is disconnected for more, and holds nobody up', async () => {
    const socket = connectSocket(broker.port, '127.0.0.1')
    await once(socket, 'connect')
    socket.write(connectBytes(4, { clientId: 'slow' }))
    socket.write(encode({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'flood/#', qos: 1 }] }))
    await once(socket, 'data')
    socket.pause()
    const [ada, bob] = [await connect('ada'), await connect('bob')]
    await bob.mqtt.subscribeAsync('flood/end', { qos: 1 })
    const payload = Buffer.alloc(50_000)
    for (let index = 0; index < 400; index += 1) ada.mqtt.publish('flood/0', payload, { qos: 0 })
    await ada.mqtt.publishAsync('flood/end', 'all sent', { qos: 1 })
    await eventually('others are served', () => payloads(bob).includes('all sent'))
    const ended = once(socket, 'close')
    for (let index = 0; index < 400; index += 1) await ada.mqtt.publishAsync('flood/1', payload, { qos: 1 })
    socket.resume()
    await ended
    expect(ada.closed()).toBe(false)
  })
})
