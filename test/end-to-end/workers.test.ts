import { X509Certificate } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import { connectClient, type TestClient } from '../fixtures/broker.ts'
import { brokerEnvironment } from '../fixtures/broker-process.ts'
import { makeCertificate, shownSerial, type TestCertificate } from '../fixtures/certificates.ts'
import { type ConnectedRedis, startConnectedRedis } from '../fixtures/connected-redis.ts'
import { eventually } from '../fixtures/eventually.ts'
import { mountCertificate, type MountedCertificate } from '../fixtures/mounted-certificate.ts'
import { type RunningProgram, startProgram } from '../fixtures/program.ts'
import { freePort } from '../fixtures/redis-server.ts'
import { putOrganization } from '../fixtures/stored-users.ts'
import { startUnbrokenTraffic } from '../fixtures/unbroken-traffic.ts'

let place: ConnectedRedis
let certificate: TestCertificate
let renewed: TestCertificate
/** By the workers, now. */
let shown: TestCertificate
let mounted: MountedCertificate
let program: RunningProgram
let mqtts: number
let probes: number

beforeAll(async () => {
  ;[place, certificate, renewed] = await Promise.all([
    startConnectedRedis(),
    makeCertificate(),
    makeCertificate(),
  ])
  shown = certificate
  mounted = await mountCertificate(shown)
  const redis = await place.connection()
  const identities = new RedisIdentityStore(redis, redisKeys(), new RedisControlLog(redis, redisKeys()))
  await putOrganization(identities, ['ada'])
  await identities.markReady()
  mqtts = await freePort()
  program = startProgram('broker', {
    ...brokerEnvironment(place.server.url, mounted),
    CLOUDSIGNAL_BROKER_WORKERS: '2',
    CLOUDSIGNAL_BROKER_MQTTS_PORT: String(mqtts),
    CLOUDSIGNAL_BROKER_WSS_PORT: String(await freePort()),
  })
  probes = ((await program.logged('all workers are ready')) as { probes: number }).probes
})

afterAll(async () => {
  await program?.kill()
  await Promise.all([place?.stop(), ...[certificate, renewed, mounted].map((each) => each?.remove())])
})

const connect = (clientId: string): Promise<TestClient> =>
  connectClient(`mqtts://127.0.0.1:${mqtts}`, 'ada', {
    ca: shown.cert,
    clientId,
    protocolVersion: 5,
  })

const ask = async (path: string): Promise<[number, string]> => {
  const response = await fetch(`http://127.0.0.1:${probes}${path}`)
  return [response.status, await response.text()]
}

/** Connections of each worker. */
async function connections(): Promise<number[]> {
  const [, body] = await ask('/metrics')
  const samples = body.matchAll(/^cloudsignal_broker_connections\{listener="mqtts",worker="\d"\} (\d+)$/gm)
  return [...samples].map(([, count]) => Number(count))
}

test('two workers share a port, serve each other’s clients, and one of them that dies is replaced', async () => {
  const clients = await Promise.all(Array.from({ length: 30 }, (_, index) => connect(`c${index}`)))
  const counts = await connections()
  expect(counts.reduce((sum, count) => sum + count)).toBe(30)
  expect(Math.min(...counts)).toBeGreaterThan(0)
  for (const client of clients) await client.mqtt.subscribeAsync('all', { qos: 1 })
  await clients[0]?.mqtt.publishAsync('all', 'hello', { qos: 1 })
  await eventually('all have it', () => clients.every(({ received }) => received.length === 1))

  const { pid } = (await program.logged('a worker was started')) as { pid: number }
  process.kill(pid, 'SIGKILL')
  await eventually('its clients are gone', () => clients.some((client) => client.closed()))
  expect(clients.every((client) => client.closed())).toBe(false)
  expect(await ask('/readyz')).toEqual([200, 'ok\n'])
  const again = await Promise.all(Array.from({ length: 5 }, (_, index) => connect(`again-${index}`)))
  await eventually('there are two again', async () => (await connections()).length === 2, 20_000)
  await Promise.all([...clients, ...again].map((client) => client.end()))
})

test('a certificate that is replaced is shown by all workers, and no connection is lost', async () => {
  const traffic = await startUnbrokenTraffic(await connect('from'), await connect('to'))
  const serials = async (): Promise<string[]> => {
    await pause(300)
    return Promise.all(Array.from({ length: 20 }, () => shownSerial(mqtts)))
  }
  const [before, after] = [certificate, renewed].map(({ cert }) => new X509Certificate(cert).serialNumber)
  expect(new Set(await serials())).toEqual(new Set([before]))
  await mounted.swap(renewed)
  await eventually('all show it', async () => (await serials()).every((each) => each === after), 30_000)
  shown = renewed
  await traffic.more(20)
  expect(await traffic.result()).toEqual({ lost: 0, twice: 0, closed: false })
}, 60_000)

test('a signal to the first process sends the clients of all away', async () => {
  const clients = await Promise.all(Array.from({ length: 20 }, (_, index) => connect(`last-${index}`)))
  expect(Math.min(...(await connections()))).toBeGreaterThan(0)
  expect(await program.terminate()).toBe(0)
  await eventually('all are gone', () => clients.every((client) => client.closed()))
  expect(clients.flatMap(({ goodbyes }) => goodbyes)).toEqual(clients.map(() => 0x8b))
  const lines = program.output().trim().split('\n')
  expect(lines.map((line) => (JSON.parse(line) as { worker?: number }).worker)).toContain(2)
})

test('workers need a port that they can share', async () => {
  const failing = startProgram('broker', {
    ...brokerEnvironment(place.server.url, certificate),
    CLOUDSIGNAL_BROKER_WORKERS: '2',
  })
  expect(await failing.exited).toBe(1)
  expect(failing.output()).toContain('CLOUDSIGNAL_BROKER_MQTTS_PORT')
})
