import { describe, expect, test } from 'vitest'
import { eventually } from '../../fixtures/eventually.ts'
import { connectBytes } from '../../fixtures/raw-client.ts'
import { frame, upgradeRequest } from '../../fixtures/raw-websocket.ts'
import { closeCode, useWssBroker } from '../../fixtures/wss-broker.ts'

const { dial, upgraded, expectServed, metrics } = useWssBroker(
  { connectTimeoutMs: 500 },
  { webSocketOrigins: ['https://app.example.com'] },
)

describe('a request to upgrade over TLS', () => {
  const expectDropped = async (reason: string, before: number): Promise<void> => {
    await eventually('it is counted', async () => (await dropped(reason)) > before)
  }
  async function dropped(reason: string): Promise<number> {
    const line = `cloudsignal_broker_connections_dropped_total{reason="${reason}"} `
    const [, count] = (await metrics()).split(line)
    return Number.parseInt(count ?? '', 10)
  }

  test('that offers compression is served without', async () => {
    const socket = await upgraded('Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits')
    expect(socket.answer()).toContain('HTTP/1.1 101 ')
    expect(socket.answer().toLowerCase()).not.toContain('extensions')
    expect(socket.answer()).toContain('Sec-WebSocket-Protocol: mqtt\r\n')
    socket.send(frame(connectBytes(5)))
    await socket.got('connack')
    // As it would be compressed, had it been agreed: the first byte of megabytes of zeros.
    socket.send(frame(Buffer.alloc(1_000, 0xaa), { reserved: 4 }))
    expect(await closeCode(socket)).toBe(1002)
  })

  test.each([
    ['/other', upgradeRequest().replace('GET / ', 'GET /other '), 404],
    ['/ with a query', upgradeRequest().replace('GET / ', 'GET /?x=1 '), 101],
    ['no subprotocol', upgradeRequest().replace(/Sec-WebSocket-Protocol.*\r\n/, ''), 400],
    ['another subprotocol', upgradeRequest().replace('Protocol: mqtt', 'Protocol: mqttv3.1'), 400],
    ['one of several', upgradeRequest().replace('Protocol: mqtt', 'Protocol: chat, mqtt'), 101],
    ['no key', upgradeRequest().replace(/Sec-WebSocket-Key.*\r\n/, ''), 400],
    ['another version', upgradeRequest().replace('Version: 13', 'Version: 99'), 400],
    ['another protocol', upgradeRequest().replace('Upgrade: websocket', 'Upgrade: h2c'), 400],
    ['POST', upgradeRequest().replace('GET', 'POST'), 405],
    ['no request at all', 'hello\r\n\r\n', 400],
    ['headers without end', upgradeRequest(`X: ${'x'.repeat(20_000)}`), 431],
    ['a body', `${upgradeRequest('Content-Length: 5')}hello`, 101],
    ['no upgrade', 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', 426],
  ])('with %s is answered', async (_what, request, status) => {
    const socket = await dial()
    socket.send(request)
    await eventually('it is answered', () => socket.answer().startsWith(`HTTP/1.1 ${status} `))
    if (status !== 101) return socket.untilClosed()
    socket.send(frame(connectBytes(5)))
    return socket.got('connack')
  })

  test('with a body that does not come is closed', async () => {
    const socket = await dial()
    socket.send(`${upgradeRequest('Content-Length: 50')}hello`)
    await socket.untilClosed()
    expect(socket.answer()).toBe('')
    await expectServed()
  })

  test('that comes too slowly is closed in time and counted, and others are served meanwhile', async () => {
    const before = await dropped('handshake-timeout')
    const slow = await Promise.all(Array.from({ length: 20 }, dial))
    const request = upgradeRequest()
    let sent = 0
    const drip = setInterval(() => {
      for (const socket of slow) socket.send(request.slice(sent, sent + 1))
      sent += 1
    }, 20)
    await expectServed()
    await Promise.all(slow.map((socket) => socket.untilClosed()))
    clearInterval(drip)
    expect(sent).toBeLessThan(request.length)
    await expectDropped('handshake-timeout', before + 19)
  })

  test('that never comes, one plain request after the other, ends all the same', async () => {
    const before = await dropped('handshake-timeout')
    const socket = await dial()
    const asking = setInterval(() => socket.send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'), 20)
    await socket.untilClosed()
    clearInterval(asking)
    expect(socket.answer()).toContain(' 426 ')
    await expectDropped('handshake-timeout', before)
  })

  test.each([
    ['https://app.example.com', 0],
    ['https://evil.example.com', 0x87],
  ])('of a page from %s is judged with CONNECT', async (origin, reasonCode) => {
    const socket = await upgraded(`Origin: ${origin}`)
    socket.send(frame(connectBytes(5)))
    await socket.got('connack')
    expect(socket.packets[0]).toMatchObject({ reasonCode })
  })
})
