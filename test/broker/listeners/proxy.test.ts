import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { Registry } from 'prom-client'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import type { AuditEvent } from '#core/audit/audit-event.ts'
import { AddressRanges } from '#core/network/address-ranges.ts'
import { everything, startTestBroker, type TestBroker } from '../../fixtures/broker.ts'
import { makeCertificate, type TestCertificate } from '../../fixtures/certificates.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { proxyV1, proxyV2, tlv } from '../../fixtures/proxy-header.ts'
import { connectBytes } from '../../fixtures/raw-client.ts'

type Name = 'mqtt' | 'mqtts' | 'ws' | 'wss'

/** Trusted, and not: all of 127.0.0.0/8 is this machine. */
const [balancer, stranger] = ['127.0.0.2', '127.0.0.3']
let broker: TestBroker
let certificate: TestCertificate
let registry: Registry
const events: AuditEvent[] = []
const sockets: Socket[] = []

beforeAll(async () => {
  certificate = await makeCertificate()
})
afterAll(() => certificate.remove())

beforeEach(() => start())

async function start(connectTimeoutMs = 400): Promise<void> {
  registry = new Registry()
  events.length = 0
  const plain = { host: '127.0.0.1', port: 0 }
  const address = { ...plain, cert: certificate.cert, key: certificate.key }
  broker = await startTestBroker({
    registry,
    audit: { record: (event: AuditEvent) => void events.push(event) } as never,
    listeners: { mqtt: plain, ws: plain, mqtts: address, wss: address },
    proxies: AddressRanges.parse([`${balancer}/32`]) as AddressRanges,
    limits: { connectTimeoutMs, throttledMs: 50, maxNewcomers: 20 },
    throttle: { perAddress: 2 },
  })
  await broker.addOrganization()
  await broker.addUser('ada', everything)
}

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await broker.stop()
})

function dial(name: Name, localAddress: string): Socket {
  const socket = connectTcp({ port: broker.broker.ports[name] ?? 0, host: '127.0.0.1', localAddress })
  socket.on('error', () => {})
  sockets.push(socket)
  return socket
}

/** What CONNACK says, of a client whose connection begins with these chunks; '' when it is closed. */
async function connackAfter(
  name: Name,
  from: string,
  chunks: readonly Buffer[],
  connect = connectBytes(),
): Promise<string> {
  const socket = dial(name, from)
  for (const chunk of chunks) {
    socket.write(chunk)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  if (socket.destroyed) return ''
  const isSecured = name === 'mqtts' || name === 'wss'
  const below = isSecured ? connectTls({ socket, ca: certificate.cert, servername: 'localhost' }) : socket
  return new Promise((resolve) => {
    for (const each of [socket, below]) each.on('error', () => {}).once('close', () => resolve(''))
    const answered = (bytes: Buffer): void => resolve(bytes.toString('hex'))
    if (name === 'mqtt' || name === 'mqtts') {
      below.once('data', answered)
      below.write(connect)
      return
    }
    const webSocket = new WebSocket('ws://localhost/', ['mqtt'], { createConnection: () => below })
    webSocket.on('error', () => resolve(''))
    webSocket.on('open', () => webSocket.send(connect))
    webSocket.once('message', answered)
  })
}

const accepted = '20020000'
const addresses = (): unknown[] => events.map((event) => 'address' in event && event.address)
const dropped = async (reason: string): Promise<boolean> =>
  (await registry.metrics()).includes(`cloudsignal_broker_connections_dropped_total{reason="${reason}"} 1`)

describe.each(['mqtt', 'mqtts', 'ws', 'wss'] as const)('behind a load balancer, over %s', (name) => {
  test.each([
    ['version 1', [proxyV1()]],
    ['version 2 with TLVs', [proxyV2({ tlvs: tlv(0xea, 100) })]],
    ['version 2 in pieces', [proxyV2().subarray(0, 7), proxyV2().subarray(7, 20), proxyV2().subarray(20)]],
  ])('a client is known by the address that it comes from, in %s', async (_name, chunks) => {
    expect(await connackAfter(name, balancer, chunks)).toBe(accepted)
    expect(addresses()).toEqual(['203.0.113.9'])
  })

  test.each([
    ['version 1', proxyV1()],
    ['version 2', proxyV2({ tlvs: tlv(4, 3) })],
  ])('a header of %s may be cut at every byte', async (_name, header) => {
    await broker.stop()
    await start(10_000)
    const cuts = Array.from({ length: header.length - 1 }, (_, index) => index + 1)
    for (let at = 0; at < cuts.length; at += 10) {
      const answers = cuts
        .slice(at, at + 10)
        .map((cut) =>
          connackAfter(
            name,
            balancer,
            [header.subarray(0, cut), header.subarray(cut)],
            connectBytes(4, { clientId: `c${cut}` }),
          ),
        )
      expect(new Set(await Promise.all(answers))).toEqual(new Set([accepted]))
    }
    expect(new Set(addresses())).toEqual(new Set(['203.0.113.9']))
  })

  test('a header that lies about its length swallows the client, or leaves what is none', async () => {
    const full = proxyV2({ tlvs: tlv(0xea, 9) })
    for (const length of [24 + 50, 12]) {
      const lie = Buffer.from(full)
      lie.writeUInt16BE(length, 14)
      expect(await connackAfter(name, balancer, [lie])).toBe('')
    }
    expect(events.filter(({ event }) => event === 'client.connected')).toEqual([])
  })

  test('a header with 4 KB of what nobody knows is skipped', async () => {
    const header = proxyV2({ tlvs: Buffer.concat([tlv(0xf7, 2_000), tlv(0x30, 2_000)]) })
    expect(await connackAfter(name, balancer, [header])).toBe(accepted)
    expect(addresses()).toEqual(['203.0.113.9'])
  })

  test.each([
    ['says nothing', balancer, Buffer.alloc(0)],
    ['says that it is for itself', balancer, proxyV2({ command: 0 })],
    ['says so in version 1', balancer, Buffer.from('PROXY UNKNOWN\r\n')],
    ['is not trusted and says nothing', stranger, Buffer.alloc(0)],
  ])('a health check that %s, and goes, is no fault', async (_what, from, bytes) => {
    for (const leave of [(socket: Socket) => socket.end(), (socket: Socket) => socket.resetAndDestroy()]) {
      const socket = dial(name, from)
      await once(socket, 'connect')
      if (bytes.length > 0) socket.write(bytes)
      await new Promise((resolve) => setTimeout(resolve, 20))
      leave(socket)
      socket.resume()
      await once(socket, 'close')
    }
    expect(await connackAfter(name, balancer, [proxyV1()])).toBe(accepted)
    expect(await registry.metrics()).not.toMatch(/connections_dropped_total\{.*\} [1-9]/)
  })

  test('a header for the balancer itself leaves its own address', async () => {
    expect(await connackAfter(name, balancer, [proxyV2({ command: 0 })])).toBe(accepted)
    expect(addresses()).toEqual([balancer])
  })

  test('whoever is not trusted comes without a header, and can not speak for others', async () => {
    expect(await connackAfter(name, stranger, [])).toBe(accepted)
    expect(addresses()).toEqual([stranger])
    expect(await connackAfter(name, stranger, [proxyV1()])).toBe('')
    expect(await connackAfter(name, stranger, [proxyV2()])).toBe('')
    expect(addresses()).not.toContain('203.0.113.9')
  })

  test('the balancer can not come without one', async () => {
    expect(await connackAfter(name, balancer, [])).toBe('')
    await eventually('it is counted', () => dropped('proxy-header'))
  })
})

describe('a load balancer', () => {
  test.each([
    ['nothing', Buffer.alloc(0)],
    ['half a header', proxyV1().subarray(0, 20)],
    ['a header of version 2 without its end', proxyV2({ length: 500 })],
  ])('that sends %s is closed in time', async (_name, bytes) => {
    const socket = dial('mqtts', balancer)
    socket.resume()
    socket.write(bytes)
    await once(socket, 'close')
    await eventually('it is counted', () => dropped('handshake-timeout'))
  })

  test('that goes on sending a header that has no end is closed at once', async () => {
    const socket = dial('mqtt', balancer)
    socket.resume()
    socket.write(Buffer.concat([Buffer.from('PROXY UNKNOWN '), Buffer.alloc(200, 0x78)]))
    await once(socket, 'close')
    expect(await dropped('proxy-header')).toBe(true)
  })

  test('has its clients throttled each by its own address', async () => {
    const wrong = connectBytes(4, { password: Buffer.from('wrong') })
    const of = (address: string, connect?: Buffer): Promise<string> =>
      connackAfter('mqtt', balancer, [proxyV1(address)], connect)
    for (let attempt = 0; attempt < 2; attempt += 1) await of('203.0.113.1', wrong)
    expect(await of('203.0.113.1')).toBe('20020003')
    expect(await of('203.0.113.2')).toBe(accepted)
  })

  test('has the clients of one address counted before they sign in, and not those of others', async () => {
    const hold = (address: string): Socket => {
      const socket = dial('mqtt', balancer)
      socket.resume()
      socket.write(proxyV1(address))
      return socket
    }
    const held = Array.from({ length: 20 }, () => hold('203.0.113.1'))
    await new Promise((resolve) => setTimeout(resolve, 100))
    const one = hold('203.0.113.1')
    await once(one, 'close')
    expect(held.every(({ destroyed }) => !destroyed)).toBe(true)
    expect(await connackAfter('mqtt', balancer, [proxyV1('203.0.113.2')])).toBe(accepted)
  })
})
