import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Framer } from '../../../broker/wire/framer.ts'

function packetOf(payload: Uint8Array): Buffer {
  const length: number[] = []
  let rest = payload.length
  do {
    length.push((rest % 128) | (rest >= 128 ? 0x80 : 0))
    rest = Math.floor(rest / 128)
  } while (rest > 0)
  return Buffer.concat([Buffer.from([0x30, ...length]), payload])
}

function framesOf(chunks: readonly Buffer[], limit = 1_000_000): { frames: Buffer[]; problem: unknown } {
  const framer = new Framer(limit)
  const frames: Buffer[] = []
  let problem: unknown
  const take = (bytes: Buffer, start: number, end: number): void => {
    frames.push(Buffer.from(bytes.subarray(start, end)))
  }
  for (const chunk of chunks) problem ??= framer.push(chunk, take)
  return { frames, problem }
}

describe('a framer', () => {
  test('gives the same packets however the bytes are cut', () => {
    const payloads = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 })
    fc.assert(
      fc.property(payloads, fc.array(fc.nat(300), { maxLength: 12 }), (given, cuts) => {
        const packets = given.map(packetOf)
        const stream = Buffer.concat(packets)
        const at = [
          0,
          ...cuts.map((cut) => Math.min(cut, stream.length)).sort((a, b) => a - b),
          stream.length,
        ]
        const chunks = at.slice(1).map((end, index) => stream.subarray(at[index], end))
        expect(framesOf(chunks)).toEqual({ frames: packets, problem: undefined })
      }),
    )
  })

  test('refuses a packet over the limit at its header, one at the limit is taken', () => {
    const packet = packetOf(Buffer.alloc(200))
    expect(framesOf([packet], packet.length).frames).toHaveLength(1)
    expect(framesOf([packet.subarray(0, 3)], packet.length - 1)).toEqual({ frames: [], problem: 'too-large' })
  })

  test('refuses a length of more than four bytes', () => {
    expect(framesOf([Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff])]).problem).toBe('malformed')
  })
})
