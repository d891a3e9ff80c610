import fc from 'fast-check'
import mqttPacket, { type IPublishPacket } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { WriteBatch } from '../../../broker/connection/write-batch.ts'
import { propertyBytes } from '../../../broker/wire/packets.ts'
import { PacketFault } from '../../../broker/wire/packet-fault.ts'
import { encodePublish, isReusable, parsePublish } from '../../../broker/wire/publish.ts'
import { TopicMemo } from '../../../broker/wire/topic-memo.ts'

/** mqtt-packet is the other implementation: what one writes the other reads, and the other way round. */
const text = fc.string({ maxLength: 30, unit: 'binary' }).filter((given) => !given.includes('\0'))
/** Of what names something. */
const name = text.filter((given) => !/[\p{Cc}\p{NChar}]/u.test(given))
const aPacket = fc
  .record({
    version: fc.constantFrom(4 as const, 5 as const),
    topic: name.filter((topic) => topic !== ''),
    payload: fc.uint8Array({ maxLength: 20_000 }).map((bytes) => Buffer.from(bytes)),
    qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
    retain: fc.boolean(),
    dup: fc.boolean(),
    messageId: fc.integer({ min: 1, max: 65_535 }),
    properties: fc.record(
      {
        payloadFormatIndicator: fc.boolean(),
        messageExpiryInterval: fc.nat(),
        responseTopic: name.filter((topic) => !/[+#]/.test(topic)),
        correlationData: fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)),
        contentType: text,
        userProperties: fc.dictionary(text, text, { minKeys: 1, maxKeys: 3, noNullPrototype: true }),
      },
      { requiredKeys: [] },
    ),
  })
  // Only what is sent again may be a duplicate [MQTT-3.3.1-2].
  .map((packet) => ({ ...packet, dup: packet.dup && packet.qos > 0 }))

function written(fill: (batch: WriteBatch) => void): Buffer {
  const batch = new WriteBatch()
  fill(batch)
  const bytes = Buffer.alloc(batch.bytes)
  batch.writeTo(bytes)
  return bytes
}

describe('a PUBLISH', () => {
  test('that mqtt-packet wrote is read as it was meant', () => {
    fc.assert(
      fc.property(aPacket, ({ version, properties, ...packet }) => {
        const frame = mqttPacket.generate(
          { cmd: 'publish', ...packet, ...(version === 5 ? { properties } : {}) } as IPublishPacket,
          { protocolVersion: version },
        )
        const parsed = parsePublish(frame, version)
        expect(parsed).toMatchObject({
          topic: packet.topic,
          qos: packet.qos,
          retain: packet.retain,
          dup: packet.dup,
          messageId: packet.qos === 0 ? 0 : packet.messageId,
        })
        expect(parsed.payload.equals(packet.payload)).toBe(true)
        if (version === 5)
          expect(parsed.properties?.bytes).toEqual(propertyBytes(properties) ?? Buffer.alloc(0))
      }),
    )
  })

  test('that is written here is read by mqtt-packet as it was meant', () => {
    fc.assert(
      fc.property(aPacket, ({ version, topic, payload, qos, retain, dup, messageId, properties }) => {
        const bytes = propertyBytes(properties)
        const content = { topic, payload, ...(bytes === undefined ? {} : { properties: bytes }) }
        const encoded = encodePublish(content, version, qos, retain)
        const frame = written((batch) => batch.publish(encoded, qos === 0 ? 0 : messageId, dup))
        const expected = mqttPacket.generate(
          {
            cmd: 'publish',
            topic,
            payload,
            qos,
            retain,
            dup,
            messageId,
            ...(version === 5 ? { properties } : {}),
          } as IPublishPacket,
          { protocolVersion: version },
        )
        expect(frame.equals(expected)).toBe(true)
      }),
    )
  })

  test('of any bytes is a packet or a fault, never another error', () => {
    const frame = fc.tuple(fc.nat(15), fc.uint8Array({ maxLength: 60 }))
    fc.assert(
      fc.property(frame, fc.constantFrom(4, 5), ([flags, body], version) => {
        try {
          parsePublish(Buffer.from([0x30 | flags, body.length, ...body]), version)
        } catch (error) {
          expect(error).toBeInstanceOf(PacketFault)
        }
      }),
      { numRuns: 20_000 },
    )
  })

  const five = (...properties: number[]): Buffer =>
    Buffer.from([0x30, 4 + properties.length, 0, 1, 0x61, properties.length, ...properties])

  test.each([
    ['a property that PUBLISH does not have', five(0x11, 0, 0, 0, 1), 'malformed-packet'],
    ['a property that stands twice', five(0x01, 1, 0x01, 1), 'protocol-error'],
    ['a payload format of 2', five(0x01, 2), 'protocol-error'],
    ['a property that is cut', five(0x02, 0, 0), 'malformed-packet'],
    ['a text with NUL', five(0x03, 0, 1, 0), 'malformed-packet'],
    ['a text that is no UTF-8', five(0x08, 0, 1, 0xff), 'malformed-packet'],
    ['properties longer than the packet', Buffer.from([0x30, 4, 0, 1, 0x61, 9]), 'malformed-packet'],
    [
      'a length that does not end',
      Buffer.from([0x30, 8, 0, 1, 0x61, 255, 255, 255, 255, 1]),
      'malformed-packet',
    ],
  ])('with %s is at fault', (_name, frame, kind) => {
    expect(() => parsePublish(frame, 5)).toThrow(expect.objectContaining({ kind }))
  })

  test('that came may go on as it is, when that is what would be written', () => {
    fc.assert(
      fc.property(aPacket, fc.nat(9), ({ version, properties, ...packet }, before) => {
        const frame = mqttPacket.generate(
          { cmd: 'publish', ...packet, ...(version === 5 ? { properties } : {}) } as IPublishPacket,
          { protocolVersion: version },
        )
        // Somewhere in what was read, as a framer hands it out.
        const bytes = Buffer.concat([Buffer.alloc(before), frame, Buffer.alloc(9)])
        const parsed = parsePublish(bytes, version, before, before + frame.length)
        expect(parsed.payload.equals(packet.payload)).toBe(true)
        if (!isReusable(parsed)) return
        const again = encodePublish(
          { topic: parsed.topic, payload: parsed.payload },
          version,
          packet.qos,
          false,
        )
        const id = packet.qos === 0 ? 0 : 7
        expect(written((batch) => batch.publish(parsed.frame, id, false))).toEqual(
          written((batch) => batch.publish(again, id, false)),
        )
      }),
    )
  })

  test.each([
    ['that is retained', [0x31, 4, 0, 1, 0x61, 0x78], 4],
    ['that was sent before', [0x3a, 6, 0, 1, 0x61, 0, 1, 0x78], 4],
    ['with properties', [0x30, 7, 0, 1, 0x61, 2, 1, 1, 0x78], 5],
    ['whose length is written longer than it is', [0x30, 0x84, 0, 0, 1, 0x61, 0x78], 4],
  ])('%s does not go on as it came', (_name, frame, version) => {
    expect(isReusable(parsePublish(Buffer.from(frame), version))).toBe(false)
  })

  test.each([
    ['QoS 0', [0x30, 4, 0, 1, 0x61, 0x78], 4],
    ['QoS 1', [0x32, 6, 0, 1, 0x61, 0, 1, 0x78], 4],
    ['no properties', [0x30, 5, 0, 1, 0x61, 0, 0x78], 5],
  ])('with %s goes on as it came', (_name, frame, version) => {
    expect(isReusable(parsePublish(Buffer.from(frame), version))).toBe(true)
  })

  test('has the topic it says, whatever topic came before', () => {
    const topics = fc.array(fc.constantFrom('a', 'b', 'ab', 'ä', 'a/b', 'x'.repeat(200)), { maxLength: 20 })
    fc.assert(
      fc.property(topics, (given) => {
        const memo = new TopicMemo()
        for (const topic of given) {
          const { bytes } = encodePublish({ topic, payload: Buffer.from('x') }, 4, 0, false)
          expect(parsePublish(bytes, 4, 0, bytes.length, memo).topic).toBe(topic)
        }
      }),
    )
  })

  test('keeps a replacement character that was really sent', () => {
    const topic = 'a\ufffdb'
    const frame = mqttPacket.generate({
      cmd: 'publish',
      topic,
      payload: '',
      qos: 0,
      dup: false,
      retain: false,
    })
    expect(parsePublish(frame, 4).topic).toBe(topic)
  })
})
