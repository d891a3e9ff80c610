import { setTimeout as pause } from 'node:timers/promises'
import fc from 'fast-check'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  allow,
  connectClient,
  everything,
  startTestBroker,
  type TestBroker,
  type TestClient,
} from '../../fixtures/broker.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { connectBytes, rawClient } from '../../fixtures/raw-client.ts'
import { anotherOrganizationId } from '../../fixtures/records.ts'
import { type Attempt, attempts, badConnects } from './frames.ts'

const seconds = Number(process.env['CLOUDSIGNAL_TEST_FUZZ_SECONDS'] ?? 8)
const seed = Number(process.env['CLOUDSIGNAL_TEST_FUZZ_SEED'] ?? 20_261_125)
const atOnce = 8
/** Turns of 5 ms: most that will be answered is by then. */
const patience = 6
let names = 0

const registry = new Registry()
let broker: TestBroker
let insider: TestClient
let outsider: TestClient
let probe: TestClient

beforeAll(async () => {
  broker = await startTestBroker({ registry, limits: { connectTimeoutMs: 500, maxPacketBytes: 4_096 } })
  await broker.addOrganization()
  await broker.addOrganization({}, anotherOrganizationId)
  await broker.addUser('ada', everything)
  await broker.addUser('bob', everything, {}, anotherOrganizationId)
  await broker.addUser('mallory', [allow(['publish', 'subscribe'], 'fuzz/#')])
  const url = `mqtt://127.0.0.1:${broker.port}`
  insider = await connectClient(url, 'ada', { clientId: 'insider' })
  probe = await connectClient(url, 'ada', { clientId: 'probe' })
  outsider = await connectClient(url, 'bob', { organization: anotherOrganizationId })
  for (const each of [insider, outsider]) await each.mqtt.subscribeAsync('#', { qos: 1 })
})
afterAll(async () => {
  await Promise.all([insider, outsider, probe].map((client) => client?.end()))
  await broker?.stop()
})

function malloryConnects(version: 4 | 5): Buffer {
  names += 1
  return connectBytes(version, {
    clientId: `mallory-${names % 100}`,
    username: 'mallory@org_k7xm4pqr2n5t',
    password: Buffer.from('mallory-password'),
    will: { topic: 'fuzz/will', payload: Buffer.from('gone'), qos: 1, retain: false },
  })
}

/** Returns whether the broker answered anything; to a wrong password it does later than anybody waits here. */
async function attempt({ version, isConnected, writes }: Attempt): Promise<boolean> {
  const client = await rawClient(broker.port, version)
  if (isConnected) client.send(malloryConnects(version))
  for (const bytes of writes) {
    client.send(bytes)
    await new Promise(setImmediate)
  }
  for (let turn = 0; turn < patience && !client.closed(); turn += 1) await pause(5)
  client.destroy()
  return client.hex() !== ''
}

async function connections(): Promise<number> {
  const metric = await registry.getSingleMetric('cloudsignal_broker_connections')?.get()
  return metric?.values.reduce((total, { value }) => total + value, 0) ?? Number.NaN
}

test(
  'whatever bytes come, before CONNECT and after it, everybody else is served and nothing gets where it must not',
  { timeout: seconds * 1_000 + 60_000 },
  async () => {
    let connected = 0
    let answered = 0
    let tried = 0
    const some = fc.array(fc.oneof({ weight: 4, arbitrary: attempts }, badConnects(malloryConnects)), {
      minLength: 1,
      maxLength: atOnce,
    })
    const property = fc.asyncProperty(some, async (batch) => {
      const answers = await Promise.all(batch.map(attempt))
      tried += answers.length
      connected += batch.filter(({ isConnected }) => isConnected).length
      answered += answers.filter((isAnswered, index) => isAnswered && batch[index]?.isConnected).length
      const round = `round ${tried}`
      await probe.mqtt.publishAsync('probe', round, { qos: 1 })
      await eventually('the honest are served', () =>
        insider.received.some(({ payload }) => payload === round),
      )
      expect(insider.received.filter(({ topic }) => topic !== 'probe' && !topic.startsWith('fuzz/'))).toEqual(
        [],
      )
      expect(outsider.received).toEqual([])
      insider.received.length = 0
    })
    await fc.assert(property, {
      seed,
      numRuns: 1_000_000,
      interruptAfterTimeLimit: seconds * 1_000,
      endOnFailure: seconds < 60,
    })
    // All of it would be worth little if everything had been refused at the door.
    expect(answered).toBeGreaterThan(connected / 4)
    expect(tried).toBeGreaterThan(atOnce)
    await eventually('nobody is left but the honest', async () => (await connections()) === 3)
  },
)
