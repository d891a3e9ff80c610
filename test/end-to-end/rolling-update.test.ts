import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connectClient, type TestClient } from '../fixtures/broker.ts'
import { type Replica, startReplica } from '../fixtures/broker-process.ts'
import { type BrokerReplicas, startBrokerReplicas } from '../fixtures/broker-replicas.ts'
import { eventually } from '../fixtures/eventually.ts'
import { anOrganizationId } from '../fixtures/records.ts'
import { publishUntil, type RoamingClient, startRoamingClient } from '../fixtures/roaming-client.ts'
import { putOrganization } from '../fixtures/stored-users.ts'

/** `CLOUDSIGNAL_TEST_ROLLING_CLIENTS=1000 npm test -- test/end-to-end/rolling-update` */
const count = Number(process.env['CLOUDSIGNAL_TEST_ROLLING_CLIENTS'] ?? '100')
const publishers = 4
const longestGapMs = 2_000

let place: BrokerReplicas
/** What the service's address leads to. */
let service: Replica[]

beforeAll(async () => {
  place = await startBrokerReplicas()
  await putOrganization(place.identities, ['ada', 'bob'])
  await place.identities.markReady()
  service = [...place.replicas]
})

afterAll(async () => {
  await Promise.all(service.map(({ program }) => program.kill()))
  await place.stop()
})

const urlOf = ({ mqtts }: Replica): string => `mqtts://127.0.0.1:${mqtts}`
const urls = (): string[] => service.map(urlOf)
const optionsOf = (local: string, clientId: string) => ({
  username: `${local}@${anOrganizationId}`,
  password: `${local}-password`,
  clientId,
  ca: place.certificate.cert,
  connectTimeout: 20_000,
})

/** A new replica is there before the old one goes, as `maxSurge: 1` has it. */
async function replace(index: number, settings: Record<string, string> = {}): Promise<number | null> {
  const next = await startReplica(place.server.url, place.certificate, settings)
  const old = service[index] as Replica
  service[index] = next
  return old.program.terminate()
}

test(
  `a rolling update with ${count} clients and QoS 1 traffic loses nothing that was acknowledged, and nobody is away for long`,
  async () => {
    const sentAt = new Map<string, number>()
    const acknowledged = new Set<string>()
    const received = new Map<string, number>()
    let longestMs = 0
    let duplicates = 0
    const subscribers: RoamingClient[] = []
    for (let index = 0; index < count; index += 1) {
      const options = { ...optionsOf('ada', `device-${index}`), clean: false }
      subscribers.push(
        startRoamingClient(urls, options, (_topic, payload) => {
          const name = payload.toString()
          longestMs = Math.max(longestMs, performance.now() - (sentAt.get(name) ?? 0))
          if (received.has(name)) duplicates += 1
          received.set(name, (received.get(name) ?? 0) + 1)
        }),
      )
      const client = await subscribers.at(-1)?.connected()
      await client?.subscribeAsync(`to/${index}`, { qos: 1 })
    }
    const over = new AbortController()
    let number = 0
    const publishing = Array.from({ length: publishers }, async (_, index) => {
      const roaming = startRoamingClient(urls, optionsOf('bob', `publisher-${index}`))
      const next = (): { topic: string; payload: string } => {
        const payload = String((number += 1))
        sentAt.set(payload, performance.now())
        return { topic: `to/${number % count}`, payload }
      }
      await publishUntil(over.signal, roaming, next, (name) => acknowledged.add(name))
      return roaming
    })
    await pause(500)
    expect(await replace(0)).toBe(0)
    expect(await replace(1)).toBe(0)
    await pause(500)
    over.abort()
    const roamed = await Promise.all(publishing)
    const missing = (): string[] => [...acknowledged].filter((name) => !received.has(name))
    await eventually('all arrives', () => missing().length === 0, 15_000).catch(() => {})
    const away = Math.max(...[...subscribers, ...roamed].map(({ longestAwayMs }) => longestAwayMs))
    console.log(
      JSON.stringify({
        name: 'rolling-restart',
        clients: count,
        acked: acknowledged.size,
        lost: missing().length,
        duplicates,
        longest_gap_ms: Math.round(longestMs),
        longest_away_ms: Math.round(away),
      }),
    )
    expect(missing()).toEqual([])
    expect(acknowledged.size).toBeGreaterThan(100)
    expect(subscribers.every(({ connects }) => connects > 1)).toBe(true)
    expect(longestMs).toBeLessThan(longestGapMs)
    await Promise.all(subscribers.map((client) => client.end()))
  },
  30_000 + count * 150,
)

test('a client that comes back to another replica is not said to be gone, and one that does not is', async () => {
  const settings = { CLOUDSIGNAL_BROKER_DEFERRED_WILL_SECONDS: '2' }
  const leaving = await startReplica(place.server.url, place.certificate, settings)
  const [staying] = service as [Replica]
  const connect = (replica: Replica, local: string, clientId: string, clean = true): Promise<TestClient> =>
    connectClient(urlOf(replica), local, {
      clientId,
      clean,
      ca: place.certificate.cert,
      protocolVersion: clientId === 'five' ? 5 : 4,
      will: { topic: `gone/${clientId}`, payload: Buffer.from(clientId), qos: 1, retain: false },
    })
  const watcher = await connect(staying, 'bob', 'watcher')
  await watcher.mqtt.subscribeAsync('gone/#', { qos: 1 })
  for (const id of ['five', 'four', 'never']) await connect(leaving, 'ada', id)
  expect(await leaving.program.terminate()).toBe(0)
  const back = [await connect(staying, 'ada', 'five'), await connect(staying, 'ada', 'four', false)]
  await eventually('who stayed away is said to be gone', () => watcher.received.length > 0)
  await pause(500)
  expect(watcher.received.map(({ payload }) => payload)).toEqual(['never'])
  await Promise.all([...back, watcher].map((client) => client.end()))
})
