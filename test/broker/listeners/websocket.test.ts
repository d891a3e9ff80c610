import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { connectClient, everything, startTestBroker, type TestBroker } from '../../fixtures/broker.ts'
import { connectBytes } from '../../fixtures/raw-client.ts'

let broker: TestBroker
let url: string

beforeEach(async () => {
  broker = await startTestBroker({
    listeners: { ws: { host: '127.0.0.1', port: 0 } },
    limits: { connectTimeoutMs: 300, maxPacketBytes: 4_096 },
  })
  url = `ws://127.0.0.1:${broker.broker.ports.ws}`
  await broker.addOrganization()
  await broker.addUser('ada', everything)
})

afterEach(() => broker.stop())

async function refusalOf(path: string, protocols: string[]): Promise<number | undefined> {
  const socket = new WebSocket(url + path, protocols)
  socket.on('error', () => {})
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode?: number }]
  return response.statusCode
}

async function openSocket(origin?: string): Promise<WebSocket> {
  const socket = new WebSocket(url, ['mqtt'], origin === undefined ? {} : { origin })
  await once(socket, 'open')
  return socket
}

describe('over WebSocket', () => {
  test('a client with the subprotocol mqtt is served at path / [MQTT-6.0.0-4] [MQTT3-6.0.0-4]', async () => {
    const client = await connectClient(`${url}/`, 'ada')
    await client.mqtt.subscribeAsync('a')
    await client.mqtt.publishAsync('a', 'x'.repeat(3_000), { qos: 1 })
    await expect.poll(() => client.received.length).toBe(1)
    await client.end()
  })

  test('another path, no subprotocol or a foreign one is refused', async () => {
    expect(await refusalOf('/other', ['mqtt'])).toBe(404)
    expect(await refusalOf('/', [])).toBe(400)
    expect(await refusalOf('/', ['chat'])).toBe(400)
  })

  test('a plain HTTP request is told what this is', async () => {
    const response = await fetch(url.replace('ws:', 'http:'))
    expect([response.status, await response.text()]).toEqual([426, 'This is MQTT over WebSocket.\n'])
  })

  test('a packet may be spread over frames, and a frame may hold several [MQTT-6.0.0-2] [MQTT3-6.0.0-2]', async () => {
    const socket = await openSocket()
    const bytes = connectBytes()
    socket.send(bytes.subarray(0, 7))
    socket.send(Buffer.concat([bytes.subarray(7), Buffer.from([0xc0, 0, 0xc0, 0])]))
    let answer = Buffer.alloc(0)
    socket.on('message', (data: Buffer) => (answer = Buffer.concat([answer, data])))
    await expect.poll(() => answer.toString('hex')).toBe('20020000d000d000')
    socket.terminate()
  })

  test('a text frame, a frame over the limit and silence are closed', async () => {
    for (const send of [
      (socket: WebSocket) => socket.send('text'),
      (socket: WebSocket) => socket.send(Buffer.alloc(10_000)),
      () => {},
    ]) {
      const socket = await openSocket()
      socket.on('error', () => {})
      const closed = once(socket, 'close')
      send(socket)
      await closed
    }
    await (await connectClient(url, 'ada')).end()
  })

  test.each([
    ['text', Buffer.from([0x81, 0x84, 0, 0, 0, 0, 0x74, 0x65, 0x78, 0x74])],
    ['a frame that claims 2^63 bytes', Buffer.from([0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])],
    ['a frame that claims more than the limit', Buffer.from([0x82, 0xfe, 0xff, 0xff, 0, 0, 0, 0])],
    ['a frame that claims more than it has', Buffer.from([0x82, 0xfe, 0x01, 0, 0, 0, 0, 0, 1])],
    ['an unmasked frame', Buffer.from([0x82, 2, 0xc0, 0])],
    ['a reserved opcode', Buffer.from([0x83, 0x80, 0, 0, 0, 0])],
    ['a reserved bit', Buffer.from([0xc2, 0x80, 0, 0, 0, 0])],
    ['a fragmented control frame', Buffer.from([0x09, 0x80, 0, 0, 0, 0])],
    ['a continuation of nothing', Buffer.from([0x80, 0x80, 0, 0, 0, 0])],
  ])(
    'a client that sends %s is closed, and others are served [MQTT-6.0.0-1] [MQTT3-6.0.0-1]',
    async (_name, frame) => {
      const socket = connectTcp(broker.broker.ports.ws ?? 0, '127.0.0.1')
      socket.on('error', () => {})
      socket.write(
        'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
          'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n',
      )
      await once(socket, 'data')
      socket.resume()
      socket.write(frame)
      await once(socket, 'close')
      await (await connectClient(url, 'ada')).end()
    },
  )

  test.each([
    ['nothing', ''],
    ['half a request', 'GET / HTTP/1.1\r\nHost: x\r\n'],
  ])('a socket that sends %s is closed', async (_name, text) => {
    const socket = connectTcp(broker.broker.ports.ws ?? 0, '127.0.0.1')
    socket.on('error', () => {})
    socket.resume()
    socket.write(text)
    await once(socket, 'close')
  })
})

describe('an organization that names its origins', () => {
  const connack = async (origin?: string): Promise<string> => {
    const socket = await openSocket(origin)
    socket.send(connectBytes(5))
    const [data] = (await once(socket, 'message')) as [Buffer]
    socket.terminate()
    return data.subarray(3, 4).toString('hex')
  }

  beforeEach(() => broker.addOrganization({ webSocketOrigins: ['https://app.example.com'] }))

  test('is open to pages from there and to clients that are no browser', async () => {
    expect(await connack('https://app.example.com')).toBe('00')
    expect(await connack()).toBe('00')
  })

  test.each([
    'https://evil.example.com',
    'https://app.example.com.evil.org',
    'http://app.example.com',
    'null',
  ])('is closed to %s, although the password is right', async (origin) => {
    expect(await connack(origin)).toBe('87')
  })

  test('that takes an origin away closes who came from there', async () => {
    const socket = await openSocket('https://app.example.com')
    const closed = once(socket, 'close')
    socket.send(connectBytes())
    await once(socket, 'message')
    await broker.addOrganization({ webSocketOrigins: [] })
    await closed
  })
})
