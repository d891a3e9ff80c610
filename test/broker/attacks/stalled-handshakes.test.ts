import { once } from 'node:events'
import { connect as connectTcp, createServer, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { Registry } from 'prom-client'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { BrokerOptions } from '../../../broker/broker.ts'
import { connectClient, everything, startTestBroker, type TestBroker } from '../../fixtures/broker.ts'
import { makeCertificate, type TestCertificate } from '../../fixtures/certificates.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { connectBytes } from '../../fixtures/raw-client.ts'

/** Attack classes of who begins a TLS handshake and does not end it. */
let certificate: TestCertificate
let clientHello: Buffer
let broker: TestBroker
let registry: Registry
const sockets: Socket[] = []

beforeAll(async () => {
  certificate = await makeCertificate()
  clientHello = await captureClientHello()
})
afterAll(() => certificate.remove())
beforeEach(() => {
  registry = new Registry()
})
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await broker.stop()
})

async function start(limits: NonNullable<BrokerOptions['limits']>): Promise<void> {
  const address = { host: '127.0.0.1', port: 0, cert: certificate.cert, key: certificate.key }
  broker = await startTestBroker({ registry, listeners: { mqtts: address, wss: address }, limits })
  await broker.addOrganization()
  await broker.addUser('ada', everything)
}

/** What a client sends first, whole. */
async function captureClientHello(): Promise<Buffer> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const client = connectTls({ port, host: '127.0.0.1', servername: 'localhost' })
  client.on('error', () => {})
  const [socket] = (await once(server, 'connection')) as [Socket]
  const [bytes] = (await once(socket, 'data')) as [Buffer]
  client.destroy()
  server.close()
  return bytes
}

type Name = 'mqtts' | 'wss'

async function dial(name: Name, bytes: Buffer, localAddress = '127.0.0.1'): Promise<Socket> {
  const socket = connectTcp({ port: broker.broker.ports[name] ?? 0, host: '127.0.0.1', localAddress })
  sockets.push(socket)
  socket.on('error', () => {})
  socket.resume()
  await once(socket, 'connect')
  socket.write(bytes)
  return socket
}

async function dialMany(name: Name, count: number, bytes: Buffer, localAddress?: string): Promise<Socket[]> {
  const all: Socket[] = []
  while (all.length < count) {
    const some = Array.from({ length: Math.min(200, count - all.length) }, () =>
      dial(name, bytes, localAddress),
    )
    all.push(...(await Promise.all(some)))
  }
  return all
}

const isClosed = ({ closed }: Socket): boolean => closed

async function counted(sample: string): Promise<number> {
  const [, count] = (await registry.metrics()).split(`${sample} `)
  return Number.parseInt(count ?? '0', 10)
}
const dropped = (reason: string): Promise<number> =>
  counted(`cloudsignal_broker_connections_dropped_total{reason="${reason}"}`)

/** In ms. */
async function timeToConnect(name: Name): Promise<number> {
  const begin = performance.now()
  const client = await connectClient(`${name}://127.0.0.1:${broker.broker.ports[name]}`, 'ada', {
    ca: certificate.cert,
  })
  await client.mqtt.publishAsync('a', 'x', { qos: 1 })
  await client.end()
  return performance.now() - begin
}

const megabytes = (): number => process.memoryUsage.rss() / 1_048_576

describe('handshakes of TLS that stall', () => {
  test('two thousand at a time are counted and ended in time, and hinder nobody', async () => {
    await start({ connectTimeoutMs: 6_000 })
    const before = megabytes()
    const began = performance.now()
    const stalled = [
      ...(await dialMany('mqtts', 900, clientHello.subarray(0, 100))),
      ...(await dialMany('mqtts', 100, clientHello)),
      ...(await dialMany('wss', 900, clientHello.subarray(0, 5))),
      ...(await dialMany('wss', 100, clientHello)),
    ]
    // Of 10,000 that one address may have: what these hold is bounded.
    expect(megabytes() - before).toBeLessThan(400)
    const times = [await timeToConnect('mqtts'), await timeToConnect('wss')]
    expect(stalled.every(isClosed)).toBe(false)
    expect(Math.max(...times)).toBeLessThan(3_000)
    await eventually('all are closed', () => stalled.every(isClosed), 15_000)
    expect(performance.now() - began).toBeLessThan(20_000)
    expect(await dropped('handshake-timeout')).toBe(2_000)
    expect(await dropped('handshake-failed')).toBe(0)
    expect(await timeToConnect('mqtts')).toBeLessThan(3_000)
  }, 40_000)

  test('are so many from one address, and so many from all, and have room again when they end', async () => {
    await start({ connectTimeoutMs: 1_500, maxNewcomers: 20, maxNewcomersOfAll: 30 })
    const half = clientHello.subarray(0, 50)
    const first = await dialMany('mqtts', 30, half, '127.0.0.2')
    await eventually('those beyond are closed', () => first.filter(isClosed).length === 10)
    expect(await timeToConnect('mqtts')).toBeGreaterThan(0)
    const second = await dialMany('wss', 20, half, '127.0.0.3')
    await eventually('those beyond are closed', () => second.filter(isClosed).length === 10)
    expect(await counted('cloudsignal_broker_limited_total{limit="newcomers"}')).toBe(20)
    await expect(timeToConnect('mqtts')).rejects.toThrow()
    await eventually('all are closed', () => [...first, ...second].every(isClosed))
    expect(await timeToConnect('mqtts')).toBeGreaterThan(0)
    expect(await dropped('handshake-timeout')).toBe(30)
  })

  test('byte by byte end in time as well', async () => {
    await start({ connectTimeoutMs: 500 })
    const slow = await Promise.all(
      Array.from({ length: 20 }, () => dial('mqtts', clientHello.subarray(0, 1))),
    )
    let sent = 1
    const drip = setInterval(() => {
      for (const socket of slow) socket.write(clientHello.subarray(sent, sent + 1))
      sent += 1
    }, 20)
    await eventually('all are closed', () => slow.every(isClosed))
    clearInterval(drip)
    expect(sent).toBeLessThan(clientHello.length)
    expect(await dropped('handshake-timeout')).toBe(20)
  })
})

describe.each<Name>(['mqtts', 'wss'])('on the port of %s', (name) => {
  test.each([
    ['a CONNECT without TLS', connectBytes()],
    ['a request without TLS', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
    ['a header of a proxy that nobody trusts', Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n')],
    ['an alert', Buffer.from('15030300020228', 'hex')],
    ['data before any handshake', Buffer.from('170303000568656c6c6f', 'hex')],
    ['a record of 64 KB', Buffer.concat([Buffer.from('160301ffff', 'hex'), Buffer.alloc(65_535)])],
    [
      'a ClientHello of 16 MB',
      Buffer.concat([Buffer.from('160301400001ffffff0303', 'hex'), Buffer.alloc(16_379)]),
    ],
    [
      'a ClientHello of SSL 2',
      Buffer.concat([Buffer.from('802e0100020015000000100100800700c0', 'hex'), Buffer.alloc(31)]),
    ],
  ])('%s is closed at once and counted, and others are served', async (_what, bytes) => {
    await start({ connectTimeoutMs: 10_000 })
    const socket = await dial(name, bytes)
    await eventually('it is closed', () => socket.closed, 5_000)
    expect(await dropped('handshake-failed')).toBe(1)
    expect(await dropped('handshake-timeout')).toBe(0)
    expect(await timeToConnect(name)).toBeGreaterThan(0)
  })
})
