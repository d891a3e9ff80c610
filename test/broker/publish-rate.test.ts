import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  everything,
  useClients,
  startTestBroker,
  type TestBroker,
  type TestClient,
} from '../fixtures/broker.ts'
import { eventually } from '../fixtures/eventually.ts'
import { anOrganization, anOrganizationId as org } from '../fixtures/records.ts'

let broker: TestBroker

beforeEach(async () => {
  broker = await startTestBroker()
  await broker.addOrganization({ limits: { messageRate: 50 } })
  await broker.addUser('ada', everything)
  await broker.addUser('slow', everything, { limits: { messageRate: 20 } })
})
afterEach(async () => {
  await broker.stop()
})
const connectTo = useClients()

async function connect(local: string, clientId?: string): Promise<TestClient> {
  const url = `mqtt://127.0.0.1:${broker.port}`
  return connectTo(url, local, {
    protocolVersion: 5,
    ...(clientId === undefined ? {} : { clientId }),
  })
}

test('who publishes too fast is slowed down, loses nothing and keeps the order; others do not notice', async () => {
  const [slow, ada] = [await connect('slow'), await connect('ada')]
  await ada.mqtt.subscribeAsync('a/#', { qos: 1 })
  const begin = performance.now()
  const all = Array.from({ length: 50 }, (_, index) =>
    slow.mqtt.publishAsync('a/slow', String(index), { qos: index % 2 === 0 ? 1 : 0 }),
  )
  await ada.mqtt.publishAsync('a/ada', 'x', { qos: 1 })
  await eventually('the other is served', () => ada.received.some(({ topic }) => topic === 'a/ada'))
  expect(performance.now() - begin).toBeLessThan(1_000)
  await Promise.all(all)
  await eventually('all have arrived', () => ada.received.length === 51)
  // 20 at once, 30 more at 20 a second.
  expect(performance.now() - begin).toBeGreaterThan(1_200)
  const own = ada.received.filter(({ topic }) => topic === 'a/slow').map(({ payload }) => Number(payload))
  expect(own).toEqual(Array.from({ length: 50 }, (_, index) => index))
})

test('what an organization allows holds for each connection, and a new limit for those that are open', async () => {
  const ada = await connect('ada')
  await broker.identities.put(
    'organization',
    org,
    'organization',
    anOrganization({ limits: { messageRate: 5 } }),
  )
  await new Promise((resolve) => setTimeout(resolve, 100))
  const begin = performance.now()
  await Promise.all(Array.from({ length: 10 }, () => ada.mqtt.publishAsync('a', 'x', { qos: 1 })))
  expect(performance.now() - begin).toBeGreaterThan(700)
})

test('a message that could never be sent ends the connection, with the reason', async () => {
  await broker.addUser('small', everything, { limits: { byteRate: 10 } })
  const small = await connect('small')
  small.mqtt.publish('a', 'x'.repeat(10_000), { qos: 0 })
  await eventually('it is closed', () => small.closed())
  expect(small.goodbyes).toEqual([0x97])
})
