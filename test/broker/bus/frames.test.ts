import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { RoutedMessage } from '../../../broker/aedes/messages.ts'
import {
  decodeFrame,
  encodeAnswer,
  encodeAsk,
  encodeBatch,
  encodeHead,
  isFrameOf,
} from '../../../broker/bus/frames.ts'
import { anOrganizationId } from '../../fixtures/records.ts'

const sender = Buffer.from('0102030405060708', 'hex')

const aMessage = fc.record({
  topic: fc.string({ minLength: 1, maxLength: 40, unit: 'binary' }),
  payload: fc.uint8Array({ maxLength: 2_000 }).map((bytes) => Buffer.from(bytes)),
  qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
  retain: fc.boolean(),
  brokerCounter: fc.nat(2 ** 40),
  clientId: fc.option(fc.string({ minLength: 1, unit: 'binary' }), { nil: undefined }),
  properties: fc.option(
    fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
    {
      nil: undefined,
    },
  ),
})

describe('a batch', () => {
  test('comes back as it was sent, whatever its messages', () => {
    fc.assert(
      fc.property(fc.array(aMessage, { maxLength: 5 }), fc.nat(2 ** 48 - 1), (given, sequence) => {
        const messages = given.map(({ clientId, properties, ...message }): RoutedMessage => ({
          ...message,
          brokerId: sender.toString('hex'),
          ...(clientId === undefined ? {} : { clientId }),
          ...(properties === undefined ? {} : { properties }),
        }))
        const bytes = encodeBatch(sender, sequence, messages)
        expect(decodeFrame(bytes)).toEqual({
          kind: 'batch',
          sender: sender.toString('hex'),
          sequence,
          messages,
        })
      }),
    )
  })

  test('that was cut, changed or is no batch at all is undefined or a batch, never an error', () => {
    const whole = encodeBatch(sender, 1, [
      { topic: 'a', payload: Buffer.from('x'), qos: 1, retain: false, brokerId: 'x', brokerCounter: 1 },
    ])
    for (let length = 0; length < whole.length; length += 1) {
      const isHeadOnly = length === 18
      expect(decodeFrame(whole.subarray(0, length)) === undefined).toBe(!isHeadOnly)
    }
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, value) => {
        const changed = Buffer.from(whole)
        changed[at] = value
        decodeFrame(changed)
      }),
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        expect(decodeFrame(Buffer.from(bytes))).toBeUndefined()
      }),
    )
  })
})

test('a frame is known as its sender’s own by its head, and as nobody else’s', () => {
  const [ours, theirs] = [Buffer.alloc(8, 1), Buffer.alloc(8, 2)]
  const bytes = encodeHead(ours, 1, 'ask')
  expect([isFrameOf(ours, bytes), isFrameOf(theirs, bytes)]).toEqual([true, false])
  expect(isFrameOf(ours, bytes.subarray(0, 12))).toBe(false)
})

describe('what replicas tell each other about batches', () => {
  const organization = anOrganizationId
  const from = sender.toString('hex')
  const frames = [
    {
      bytes: encodeHead(sender, 7, 'answer'),
      frame: { kind: 'head', sender: from, sequence: 7, purpose: 'answer' },
    },
    {
      bytes: encodeAsk(sender, { sequence: 2 ** 40, last: 2 ** 41, age: 12.7, organization }),
      frame: { kind: 'ask', sender: from, sequence: 2 ** 40, last: 2 ** 41, age: 12, organization },
    },
    {
      bytes: encodeAnswer(sender, {
        sequence: 3,
        lost: 2,
        organization,
        batches: [Buffer.from('abc'), Buffer.alloc(0)],
      }),
      frame: {
        kind: 'answer',
        sender: from,
        sequence: 3,
        lost: 2,
        organization,
        batches: [Buffer.from('abc'), Buffer.alloc(0)],
      },
    },
  ]

  test.each(frames)('comes back as it was sent: $frame.kind', ({ bytes, frame }) => {
    expect(decodeFrame(bytes)).toEqual(frame)
  })

  test.each(frames)('cut or changed it is never an error: $frame.kind', ({ bytes }) => {
    for (let length = 0; length < bytes.length; length += 1) decodeFrame(bytes.subarray(0, length))
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, value) => {
        const changed = Buffer.from(bytes)
        changed[at] = value
        decodeFrame(changed)
      }),
    )
  })
})
