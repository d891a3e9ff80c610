import { once } from 'node:events'
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

async function openSocket(): Promise<WebSocket> {
  const socket = new WebSocket(url, ['mqtt'])
  await once(socket, 'open')
  return socket
}

describe('over WebSocket', () => {
  test('a client with the subprotocol mqtt is served at path /', async () => {
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

  test('a packet may be spread over frames, and a frame may hold several', async () => {
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
})
