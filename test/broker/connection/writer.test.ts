import { describe, expect, test } from 'vitest'
import { Writer } from '../../../broker/connection/writer.ts'
import type { Transport } from '../../../broker/listeners/transport.ts'
import { encodePublish } from '../../../broker/wire/publish.ts'

/** Takes at once what it is given, or keeps it until `take`. */
function aTransport(isSlow = false): Transport & { readonly written: Buffer[]; take(): Buffer[] } {
  const kept: Buffer[] = []
  const written: Buffer[] = []
  return {
    remoteAddress: 'test',
    listener: 'mqtt',
    start() {},
    signedIn() {},
    pause() {},
    resume() {},
    end() {},
    release() {},
    destroy() {},
    written,
    write(bytes) {
      if (isSlow) kept.push(bytes)
      else written.push(Buffer.from(bytes))
    },
    get pending() {
      return kept.reduce((sum, bytes) => sum + bytes.length, 0)
    },
    take: () => kept.splice(0).map((bytes) => Buffer.from(bytes)),
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const aPublish = (qos: 0 | 1, fill: string, length = 3): ReturnType<typeof encodePublish> =>
  encodePublish({ topic: 't', payload: Buffer.alloc(length, fill) }, 4, qos, false)

describe('a writer', () => {
  test('writes what one turn brings in one piece, in order', async () => {
    const transport = aTransport()
    const writer = new Writer(transport)
    writer.write(Buffer.from([1, 2]))
    writer.acknowledge('puback', 258)
    writer.publish(aPublish(0, 'a'), 0, false)
    writer.acknowledge('pubrel', 3)
    writer.write(Buffer.from([9]))
    expect(writer.pending).toBe(2 + 4 + 8 + 4 + 1)
    expect(transport.written).toEqual([])
    await turn()
    const expected = [1, 2, 0x40, 2, 1, 2, 0x30, 6, 0, 1, 0x74, 97, 97, 97, 0x62, 2, 0, 3, 9]
    expect(transport.written).toEqual([Buffer.from(expected)])
    expect(writer.pending).toBe(0)
  })

  test('gives each client packet ids of its own, and leaves what they share as it is', async () => {
    const transports = [aTransport(), aTransport()]
    const shared = aPublish(1, 'b')
    const before = Buffer.from(shared.bytes)
    for (const [index, transport] of transports.entries()) {
      const writer = new Writer(transport)
      writer.publish(shared, index + 1, false)
      writer.publish(shared, index + 301, true)
    }
    await turn()
    for (const [index, transport] of transports.entries()) {
      const [bytes = Buffer.alloc(0)] = transport.written
      expect([bytes[0], bytes.readUInt16BE(5)]).toEqual([0x32, index + 1])
      expect([bytes[10], bytes.readUInt16BE(15)]).toEqual([0x3a, index + 301])
    }
    expect(shared.bytes).toEqual(before)
  })

  test('pieces that lie side by side come out as they are', async () => {
    const transport = aTransport()
    const writer = new Writer(transport)
    const bytes = Buffer.concat([aPublish(0, 'a').bytes, aPublish(0, 'b').bytes, aPublish(0, 'c').bytes])
    for (let at = 0; at < bytes.length; at += 8) {
      writer.publish({ bytes, start: at, end: at + 8, messageIdAt: at + 5 }, 0, false)
    }
    await turn()
    expect(transport.written).toEqual([bytes])
  })

  test('does not touch what a slow client has not taken yet', async () => {
    const slow = aTransport(true)
    const quick = aTransport()
    const [first, second] = [new Writer(slow), new Writer(quick)]
    for (let round = 0; round < 4; round += 1) {
      // Large, and in several pieces.
      for (const fill of ['1', '2', '3']) first.publish(aPublish(0, fill, 10_000), 0, false)
      for (const fill of ['4', '5', '6']) second.publish(aPublish(0, fill, 10_000), 0, false)
      await turn()
    }
    expect(first.pending).toBe(4 * 3 * 10_006)
    const expected = Buffer.concat(['1', '2', '3'].map((fill) => aPublish(0, fill, 10_000).bytes))
    for (const bytes of slow.take()) expect(bytes.equals(expected)).toBe(true)
    expect(quick.written).toHaveLength(4)
  })

  test('writes out what is there when it is closed, and nothing after', async () => {
    const transport = aTransport()
    const writer = new Writer(transport)
    writer.write(Buffer.from([1]))
    writer.acknowledge('pubcomp', 1)
    writer.close()
    writer.write(Buffer.from([2]))
    writer.publish(aPublish(1, 'a'), 1, true)
    writer.acknowledge('puback', 1)
    await turn()
    expect(transport.written).toEqual([Buffer.from([1, 0x70, 2, 0, 1])])
  })

  test('a write that ends another connection loses nothing of either', async () => {
    const other = aTransport()
    const last = new Writer(other)
    const transport = aTransport()
    const writer = new Writer({
      ...transport,
      pending: 0,
      write(bytes: Buffer) {
        transport.write(bytes)
        last.write(Buffer.from([8]))
      },
    })
    writer.write(Buffer.from([7]))
    await turn()
    await turn()
    expect([transport.written, other.written]).toEqual([[Buffer.from([7])], [Buffer.from([8])]])
  })
})
