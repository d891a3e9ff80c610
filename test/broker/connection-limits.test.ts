import type { IClientOptions } from 'mqtt'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  connectClient,
  everything,
  startTestBroker,
  type TestBroker,
  type TestClient,
} from '../fixtures/broker.ts'
import { eventually } from '../fixtures/eventually.ts'

let broker: TestBroker
const clients: TestClient[] = []

beforeEach(async () => {
  broker = await startTestBroker()
})
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.end()))
  await broker.stop()
})

/** Resolves with the client, or with the code of the refusal. */
async function connect(local: string, options: IClientOptions = {}): Promise<TestClient | number> {
  try {
    const url = `mqtt://127.0.0.1:${broker.port}`
    const client = await connectClient(url, local, { protocolVersion: 5, ...options })
    clients.push(client)
    return client
  } catch (error) {
    return (error as { code: number }).code
  }
}

const isIn = async (...given: Parameters<typeof connect>): Promise<boolean> =>
  typeof (await connect(...given)) !== 'number'

const quotaExceeded = 0x97
const serverUnavailable = 3

test.each([
  ['5', 5, quotaExceeded],
  ['3.1.1', 4, serverUnavailable],
] as const)(
  'a user has no more connections than its own limit allows (MQTT %s)',
  async (_name, protocolVersion, code) => {
    await broker.addOrganization()
    await broker.addUser('ada', everything, { limits: { connections: 2 } })
    await broker.addUser('bob', everything)
    const first = await connect('ada', { protocolVersion, clientId: 'a' })
    expect(await isIn('ada', { protocolVersion, clientId: 'b' })).toBe(true)
    expect(await connect('ada', { protocolVersion, clientId: 'c' })).toBe(code)
    expect(await isIn('bob', { protocolVersion })).toBe(true)
    // Its own id is taken over, and leaves room when it goes.
    expect(await isIn('ada', { protocolVersion, clientId: 'a' })).toBe(true)
    await eventually('the former one is closed', () => (first as TestClient).closed())
    await clients.at(-1)?.end()
    expect(await isIn('ada', { protocolVersion, clientId: 'c' })).toBe(true)
  },
)

test('every user of an organization has what the organization allows, and the smaller of both', async () => {
  await broker.addOrganization({ limits: { connectionsPerUser: 1 } })
  await broker.addUser('ada', everything, { limits: { connections: 5 } })
  await broker.addCredential('tmp_1', everything, 60, { principal: 'sub:x' })
  await broker.addCredential('tmp_2', everything, 60, { principal: 'sub:x' })
  expect(await isIn('ada')).toBe(true)
  expect(await connect('ada')).toBe(quotaExceeded)
  // Credentials of one person count together.
  expect(await isIn('tmp_1')).toBe(true)
  expect(await connect('tmp_2')).toBe(quotaExceeded)
})

test('a credential connects only where its principal has fewer connections than it says, and never widens a limit', async () => {
  await broker.addOrganization({ limits: { connectionsPerUser: 2 } })
  await broker.addCredential('tmp_1', everything, 60, { principal: 'sub:x', connections: 1 })
  await broker.addCredential('tmp_2', everything, 60, { principal: 'sub:x' })
  await broker.addCredential('tmp_3', everything, 60, { principal: 'sub:y', connections: 9 })
  expect(await isIn('tmp_1', { clientId: 'a' })).toBe(true)
  expect(await connect('tmp_1', { clientId: 'b' })).toBe(quotaExceeded)
  expect(await isIn('tmp_2', { clientId: 'b' })).toBe(true)
  expect(await isIn('tmp_1', { clientId: 'a' })).toBe(true)
  expect(await isIn('tmp_3', { clientId: 'a' })).toBe(true)
  expect(await isIn('tmp_3', { clientId: 'b' })).toBe(true)
  expect(await connect('tmp_3', { clientId: 'c' })).toBe(quotaExceeded)
})

test('an organization has no more than it may, and another one is not touched', async () => {
  await broker.addOrganization({ limits: { connections: 2 } })
  await broker.addOrganization({}, 'org_aaaabbbbcccc')
  for (const name of ['ada', 'bob', 'carol']) await broker.addUser(name, everything)
  await broker.addUser('ada', everything, {}, 'org_aaaabbbbcccc')
  expect(await isIn('ada')).toBe(true)
  expect(await isIn('bob')).toBe(true)
  expect(await connect('carol')).toBe(quotaExceeded)
  expect(await isIn('ada', { organization: 'org_aaaabbbbcccc' } as IClientOptions)).toBe(true)
})

test('a limit of none lets nobody in', async () => {
  await broker.addOrganization({ limits: { connections: 0 } })
  await broker.addUser('ada', everything)
  expect(await connect('ada')).toBe(quotaExceeded)
})
