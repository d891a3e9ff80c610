import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { eventually } from '../../fixtures/eventually.ts'
import { connectBytes, encode } from '../../fixtures/raw-client.ts'
import {
  frame,
  type FrameOptions,
  opcodes,
  type RawWebSocket,
  upgradeRequest,
} from '../../fixtures/raw-websocket.ts'
import { closeCode, useWssBroker } from '../../fixtures/wss-broker.ts'

const maxConnectBytes = 65_536
const { dial, upgraded, connected, expectServed } = useWssBroker({ maxConnectBytes })
const pingreq = Buffer.from([0xc0, 0])
const nothing = Buffer.alloc(0)
const publish = (payload: string | Buffer, messageId = 1): Buffer =>
  encode({ cmd: 'publish', topic: 'a', payload, qos: 1, messageId, dup: false, retain: false }, 5)

describe('over WSS, where frames begin and end does not matter:', () => {
  test('a request to upgrade and a CONNECT may come byte by byte', async () => {
    const socket = await dial()
    for (const byte of Buffer.from(upgradeRequest())) socket.send(Buffer.from([byte]))
    await eventually('it is answered', () => socket.answer().startsWith('HTTP/1.1 101 '))
    for (const byte of frame(connectBytes(5))) socket.send(Buffer.from([byte]))
    await socket.got('connack')
  })

  test('a frame may be cut at every byte', async () => {
    const socket = await connected()
    const bytes = frame(publish('payload'), { form: 127 })
    for (let at = 1; at < bytes.length; at += 1) {
      socket.send(bytes.subarray(0, at))
      await pause(0)
      socket.send(bytes.subarray(at))
      await socket.got('puback', at)
    }
    expect(socket.packets.filter(({ cmd }) => cmd === 'puback')).toHaveLength(bytes.length - 1)
  })

  test('a packet may be cut into frames at every byte, and many packets may be in one frame', async () => {
    const socket = await connected()
    const bytes = publish('payload')
    for (let at = 1; at < bytes.length; at += 1) {
      socket.send(Buffer.concat([frame(bytes.subarray(0, at)), frame(bytes.subarray(at))]))
    }
    await socket.got('puback', bytes.length - 1)
    socket.send(frame(Buffer.concat([...Array.from({ length: 50 }, () => publish('x')), pingreq])))
    await socket.got('pingresp')
    expect(socket.packets.filter(({ cmd }) => cmd === 'puback')).toHaveLength(bytes.length - 1 + 50)
  })

  test('a message may be in many fragments, with control frames between them', async () => {
    const socket = await connected()
    const bytes = publish('x'.repeat(100))
    const pieces = [...bytes].map((byte, index) =>
      frame(Buffer.from([byte]), {
        opcode: index === 0 ? opcodes.binary : opcodes.more,
        isLast: index === bytes.length - 1,
      }),
    )
    const ping = frame(Buffer.from('here'), { opcode: opcodes.ping })
    socket.send(Buffer.concat(pieces.flatMap((piece, index) => (index % 20 === 1 ? [ping, piece] : [piece]))))
    await socket.got('puback')
    const pongs = socket.frames.filter(({ opcode }) => opcode === opcodes.pong)
    expect(pongs.map(({ payload }) => payload.toString())).toEqual(Array.from({ length: 6 }, () => 'here'))
    socket.send(frame(nothing, { isLast: false }))
    for (let count = 0; count < 100; count += 1)
      socket.send(frame(nothing, { opcode: opcodes.more, isLast: false }))
    socket.send(frame(pingreq, { opcode: opcodes.more }))
    await socket.got('pingresp')
  })

  test.each([
    ['one byte', 100, 125],
    ['two bytes', 65_000, 126],
    ['eight bytes', 200_000, 127],
    ['two bytes that one would do for', 20, 126],
    ['eight bytes that one would do for', 20, 127],
  ] as const)('a length may be written in %s', async (_name, size, form) => {
    const socket = await connected()
    socket.send(frame(publish(Buffer.alloc(size)), { form }))
    await socket.got('puback')
    expect(socket.closed()).toBe(false)
  })
})

const begun = frame(Buffer.from([0x32]), { isLast: false })
const bad: readonly (readonly [string, Buffer, number])[] = [
  ['text', frame(Buffer.from('text'), { opcode: opcodes.text }), 1003],
  ['text that is no UTF-8', frame(Buffer.from([0xff]), { opcode: opcodes.text }), 1007],
  ['a claim of 2^63 bytes', frame(nothing, { form: 127, length: 2n ** 63n }), 1009],
  ['a claim of 2^64 - 1 bytes', frame(nothing, { form: 127, length: 2n ** 64n - 1n }), 1009],
  ['a claim of 2^53 bytes', frame(nothing, { form: 127, length: 2n ** 53n }), 1009],
  ['a claim of more than a packet may have', frame(nothing, { form: 127, length: 1_048_577n }), 1009],
  [
    'fragments that are more together than a packet may have',
    Buffer.concat([
      frame(Buffer.alloc(700_000), { isLast: false }),
      frame(nothing, { opcode: opcodes.more, length: 700_000 }),
    ]),
    1009,
  ],
  ['more fragments than anybody needs', crumbs(16_385), 1008],
  ['a frame without a mask', frame(pingreq, { isMasked: false }), 1002],
  ['a frame with a reserved bit', frame(pingreq, { reserved: 1 }), 1002],
  ['a frame that says it is compressed', frame(pingreq, { reserved: 4 }), 1002],
  ['an opcode of nothing', frame(pingreq, { opcode: 3 }), 1002],
  ['a control frame of nothing', frame(nothing, { opcode: 11 }), 1002],
  ['a control frame in fragments', frame(nothing, { opcode: opcodes.ping, isLast: false }), 1002],
  ['a control frame that is too long', frame(Buffer.alloc(126), { opcode: opcodes.ping }), 1002],
  ['the rest of nothing', frame(pingreq, { opcode: opcodes.more }), 1002],
  ['a message within a message', Buffer.concat([begun, frame(pingreq)]), 1002],
  ['a code of closing that there is not', frame(Buffer.from([0x03, 0xee]), { opcode: opcodes.close }), 1002],
  ['half a code of closing', frame(Buffer.from([3]), { opcode: opcodes.close }), 1002],
]

function crumbs(count: number): Buffer {
  const rest: FrameOptions = { opcode: opcodes.more, isLast: false }
  return Buffer.concat([begun, ...Array.from({ length: count }, () => frame(Buffer.from([0]), rest))])
}

describe.each([
  ['who has signed in', () => connected()],
  ['who has not', () => upgraded()],
])('a client over WSS %s', (who, start) => {
  test.each(bad)('that sends %s is told so and closed, and others are served', async (_name, bytes, code) => {
    const socket = await start()
    socket.send(bytes)
    const isTooMuchToBeRead = bytes.length > maxConnectBytes * 2 && who === 'who has not'
    expect(await closeCode(socket)).toBe(isTooMuchToBeRead ? undefined : code)
    await expectServed()
  })

  test('that sends pings without end and takes no answer is closed', async () => {
    const socket = await start()
    socket.socket.pause()
    const pings = Buffer.concat(
      Array.from({ length: 500 }, () => frame(Buffer.alloc(125), { opcode: opcodes.ping })),
    )
    let sent = 0
    socket.socket.on('drain', () => send())
    function send(): void {
      while (sent < 400 && socket.socket.write(pings)) sent += 1
    }
    send()
    await socket.untilClosed()
    await expectServed()
  })
})

describe('closing a WebSocket over TLS', () => {
  const willing = { will: { topic: 'gone', payload: Buffer.from('x'), qos: 0, retain: false } } as const
  const close = (code: number): Buffer => {
    const payload = Buffer.alloc(2)
    payload.writeUInt16BE(code)
    return frame(payload, { opcode: opcodes.close })
  }
  const watching = async (): Promise<RawWebSocket> => {
    const watcher = await connected()
    const subscriptions = [{ topic: 'gone', qos: 0 as const }]
    watcher.send(frame(encode({ cmd: 'subscribe', messageId: 1, subscriptions }, 5)))
    await watcher.got('suback')
    return watcher
  }

  test('is answered, and without a DISCONNECT before it the will is published', async () => {
    const watcher = await watching()
    const socket = await connected(willing)
    socket.send(close(1000))
    expect(await closeCode(socket)).toBe(1000)
    await watcher.got('publish')
  })

  test('after a DISCONNECT is done by the broker, and the will is not published', async () => {
    const watcher = await watching()
    const socket = await connected(willing)
    socket.send(frame(encode({ cmd: 'disconnect', reasonCode: 0 }, 5)))
    expect(await closeCode(socket)).toBe(1005)
    watcher.send(frame(pingreq))
    await watcher.got('pingresp')
    expect(watcher.packets.map(({ cmd }) => cmd)).not.toContain('publish')
  })

  test('takes a second at most, whatever the client goes on to send, and none of that counts', async () => {
    const socket = await connected()
    socket.send(Buffer.concat([frame(Buffer.from('text'), { opcode: opcodes.text }), frame(pingreq)]))
    const pinging = setInterval(() => socket.send(frame(pingreq)), 20)
    const begin = performance.now()
    await socket.untilClosed()
    clearInterval(pinging)
    expect(performance.now() - begin).toBeLessThan(5_000)
    expect(socket.packets.map(({ cmd }) => cmd)).not.toContain('pingresp')
  })
})

test('nobody over WSS has a frame gathered that is larger than a CONNECT, until signed in', async () => {
  const large = publish(Buffer.alloc(500_000))
  const begin = async (socket: RawWebSocket): Promise<void> => {
    socket.send(frame(large).subarray(0, 400_000))
    await pause(50)
  }
  const unknown = await upgraded()
  await begin(unknown)
  await unknown.untilClosed()
  const known = await connected()
  await begin(known)
  expect(known.closed()).toBe(false)
  known.send(frame(large).subarray(400_000))
  await known.got('puback')
})
