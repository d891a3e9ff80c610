import { setTimeout as pause } from 'node:timers/promises'
import type { IClientOptions } from 'mqtt'
import { Registry } from 'prom-client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  useClients,
  deny,
  everything,
  startTestBroker,
  type TestBroker,
  type TestClient,
} from '../../fixtures/broker.ts'
import { eventually } from '../../fixtures/eventually.ts'

let broker: TestBroker
let registry: Registry
let watcher: TestClient

beforeEach(async () => {
  registry = new Registry()
  broker = await startTestBroker({ registry })
  await broker.addOrganization()
  for (const local of ['ada', 'bob']) await broker.addUser(local, everything)
  watcher = await connect('bob')
  await watcher.mqtt.subscribeAsync('will', { qos: 1 })
})

afterEach(async () => {
  await broker.stop()
})
const connectTo = useClients()

async function connect(local: string, options: IClientOptions = {}): Promise<TestClient> {
  return connectTo(`mqtt://127.0.0.1:${broker.port}`, local, options)
}

const dying = (delaySeconds: number, sessionExpiryInterval = 60): IClientOptions => ({
  protocolVersion: 5,
  clientId: 'device',
  clean: false,
  properties: { sessionExpiryInterval },
  will: {
    topic: 'will',
    payload: Buffer.from('gone'),
    qos: 1,
    retain: false,
    properties: { willDelayInterval: delaySeconds },
  },
})

/** Without a goodbye. */
const drop = (client: TestClient): unknown => client.mqtt.stream.destroy()

const count = (): number => watcher.received.length

test('a will waits for its delay', async () => {
  drop(await connect('ada', dying(1)))
  await pause(700)
  expect(count()).toBe(0)
  await eventually('it arrives', () => count() === 1)
})

test('a will is cancelled by a client that comes back in time, and its new one is its own', async () => {
  drop(await connect('ada', dying(1)))
  await pause(300)
  const back = await connect('ada', dying(1))
  expect(back.sessionPresent).toBe(true)
  await pause(2_500)
  expect(count()).toBe(0)
  drop(back)
  await eventually('it arrives', () => count() === 1)
})

test('a clean start ends the session, and its will waits no longer', async () => {
  drop(await connect('ada', dying(60)))
  await pause(100)
  await connect('ada', { protocolVersion: 5, clientId: 'device', clean: true })
  await eventually('it arrives', () => count() === 1)
})

test('a will does not wait longer than the session does', async () => {
  drop(await connect('ada', dying(60, 0)))
  await eventually('it arrives', () => count() === 1)
})

test('a will that is taken over goes out once', async () => {
  await connect('ada', dying(0))
  await connect('ada', dying(0))
  await eventually('it arrives', () => count() === 1)
  await pause(300)
  expect(count()).toBe(1)
})

test('a will that is denied when its time has come is dropped, counted and not tried again', async () => {
  drop(await connect('ada', dying(1)))
  await pause(100)
  await broker.addUser('ada', [...everything, deny(['publish'], 'will')])
  await eventually('it is denied', async () =>
    (await registry.metrics()).includes('cloudsignal_broker_wills_total{outcome="denied"} 1'),
  )
  await pause(1_500)
  expect(count()).toBe(0)
})

test('a will whose author was deleted meanwhile is dropped', async () => {
  drop(await connect('ada', dying(1)))
  await pause(100)
  await broker.identities.remove('user', 'org_k7xm4pqr2n5t', 'ada')
  await eventually('it is denied', async () =>
    (await registry.metrics()).includes('cloudsignal_broker_wills_total{outcome="denied"} 1'),
  )
  expect(count()).toBe(0)
})

describe('a will that is due when the credential of its author is over', () => {
  const org = 'org_k7xm4pqr2n5t'
  const denied = async (): Promise<boolean> =>
    (await registry.metrics()).includes('cloudsignal_broker_wills_total{outcome="denied"} 1')

  beforeEach(async () => {
    for (const list of ['list', 'other']) {
      await broker.identities.put('access-list', org, list, { rules: [...everything] })
    }
  })

  /** A client whose will waits for a second; the credential lives for half of one. */
  async function ending(local: string, list = 'list'): Promise<TestClient> {
    const access = { lists: [list], rules: [], ceilings: [] }
    await broker.addCredential(local, [], 0.5, { access, principal: `sub:${local}` })
    return connect(local, dying(1))
  }

  test('is published after its delay, also where the client was gone before, unless a list of then denies it', async () => {
    const [there, gone] = [
      await ending('tmp_there'),
      await ending('tmp_gone'),
      await ending('tmp_no', 'other'),
    ]
    drop(gone)
    await broker.identities.put('access-list', org, 'other', {
      rules: [...everything, deny(['publish'], 'will')],
    })
    await eventually('it is closed', () => there.closed())
    expect(there.goodbyes).toEqual([0xa0])
    expect(count()).toBe(0)
    await eventually('both arrive, and one is denied', async () => count() === 2 && (await denied()))
    expect(await broker.credentials.get(org, 'tmp_there')).toBeUndefined()
  })

  test('is dropped where the organization discards wills on expiry', async () => {
    drop(await ending('tmp_gone'))
    await broker.addOrganization({ willOnExpiry: 'discard' })
    await eventually('it is denied', denied)
    expect(count()).toBe(0)
  })
})
