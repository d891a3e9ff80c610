import fc from 'fast-check'
import mqttPacket, { type IConnectPacket, type ISubscribePacket, type Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { PacketFault } from '../../../broker/wire/packet-fault.ts'
import { encodePacket, parseConnect, UnsupportedLevel } from '../../../broker/wire/packets.ts'
import { parsePacket } from '../../../broker/wire/parse-packet.ts'

/** mqtt-packet is the other implementation: what it writes is read here as it was meant. */
const name = fc.string({ maxLength: 20, unit: 'binary' }).filter((given) => !/[\p{Cc}\p{NChar}]/u.test(given))
const version = fc.constantFrom(4 as const, 5 as const)

function written(packet: object, protocolVersion: 4 | 5): Buffer {
  return mqttPacket.generate(packet as Packet, { protocolVersion })
}

function bytes(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(' ', ''), 'hex')
}

describe('a CONNECT', () => {
  test('that mqtt-packet wrote is read as it was meant', () => {
    const qos = fc.constantFrom(0 as const, 1 as const, 2 as const)
    const payload = fc.uint8Array({ maxLength: 30 }).map((given) => Buffer.from(given))
    const packets = fc.record({
      protocolVersion: version,
      clean: fc.constant(true),
      keepalive: fc.nat(65_535),
      clientId: name,
      username: name.filter((given) => given !== ''),
      password: payload,
      will: fc.option(
        fc.record({ topic: name.filter((given) => given !== ''), payload, qos, retain: fc.boolean() }),
        { nil: undefined },
      ),
    })
    fc.assert(
      fc.property(packets, ({ protocolVersion, will, ...packet }) => {
        const given = { cmd: 'connect', protocolVersion, ...packet, ...(will === undefined ? {} : { will }) }
        expect(parseConnect(written(given, protocolVersion))).toMatchObject(given)
      }),
    )
  })

  test('with properties gives what the broker looks at, and of its will the bytes to publish', () => {
    const properties = { sessionExpiryInterval: 7, receiveMaximum: 3, requestProblemInformation: false }
    const will = {
      topic: 'w',
      payload: Buffer.from('gone'),
      properties: { willDelayInterval: 5, contentType: 'text', userProperties: { a: ['1', '2'] } },
    }
    const packet: IConnectPacket = { cmd: 'connect', clientId: 'c', protocolVersion: 5, properties, will }
    const parsed = parseConnect(written(packet, 5))
    expect(parsed).toMatchObject({ properties, will: { properties: { willDelayInterval: 5 } } })
    const published = bytes('03 0004 74657874 26 0001 61 0001 31 26 0001 61 0001 32')
    expect(parsed.will?.propertyBytes).toEqual(published)
  })

  test.each([
    ['another packet first [MQTT-3.1.0-1] [MQTT3-3.1.0-1]', 'c0 00'],
    ['flags in its first byte [MQTT-2.1.3-1] [MQTT3-2.2.2-2]', '11 0d 0004 4d515454 04 02 000a 0001 70'],
    ['another protocol [MQTT-3.1.2-1] [MQTT3-3.1.2-1]', '10 0d 0004 4d515455 04 02 000a 0001 70'],
    ['the reserved flag [MQTT-3.1.2-3] [MQTT3-3.1.2-3]', '10 0d 0004 4d515454 04 03 000a 0001 70'],
    [
      'a will of QoS 3 [MQTT-3.1.2-12] [MQTT3-3.1.2-14]',
      '10 13 0004 4d515454 04 1e 000a 0001 70 0001 70 0001 70',
    ],
    [
      'a QoS of no will [MQTT-3.1.2-11] [MQTT3-3.1.2-11] [MQTT3-3.1.2-13]',
      '10 0d 0004 4d515454 04 0a 000a 0001 70',
    ],
    ['a retain flag of no will [MQTT-3.1.2-13] [MQTT3-3.1.2-15]', '10 0d 0004 4d515454 04 22 000a 0001 70'],
    ['a password without a username [MQTT3-3.1.2-22]', '10 10 0004 4d515454 04 42 000a 0001 70 0001 70'],
    [
      'a username that its flags deny [MQTT-3.1.2-16] [MQTT3-3.1.2-18]',
      '10 10 0004 4d515454 04 02 000a 0001 70 0001 70',
    ],
    [
      'no username though its flags say so [MQTT-3.1.2-17] [MQTT3-3.1.2-19]',
      '10 0d 0004 4d515454 04 82 000a 0001 70',
    ],
    [
      'no password though its flags say so [MQTT-3.1.2-19] [MQTT3-3.1.2-21]',
      '10 10 0004 4d515454 04 c2 000a 0001 70 0001 70',
    ],
    [
      'a password that its flags deny [MQTT-3.1.2-18] [MQTT3-3.1.2-20]',
      '10 13 0004 4d515454 04 82 000a 0001 70 0001 70 0001 70',
    ],
    [
      'no client id [MQTT-3.1.3-3] [MQTT-3.1.3-1] [MQTT3-3.1.3-3] [MQTT3-3.1.3-1]',
      '10 0a 0004 4d515454 04 02 000a',
    ],
    ['a property that stands twice', '10 18 0004 4d515454 05 02 000a 0a 1100000001 1100000001 0001 70'],
    ['a property of another packet', '10 10 0004 4d515454 05 02 000a 02 0101 0001 70'],
    ['a Receive Maximum of 0', '10 11 0004 4d515454 05 02 000a 03 210000 0001 70'],
    ['a Maximum Packet Size of 0', '10 13 0004 4d515454 05 02 000a 05 2700000000 0001 70'],
    ['properties longer than it', '10 0e 0004 4d515454 05 02 000a 7f 0001 70'],
    ['a length written too long [MQTT-1.5.5-1]', '10 0f 0004 4d515454 05 02 000a 8000 0001 70'],
  ])('with %s is at fault', (_name, hex) => {
    expect(() => parseConnect(bytes(hex))).toThrow(PacketFault)
  })

  test('of a level that is not spoken is no fault, so that it can be answered [MQTT-3.1.2-2] [MQTT3-3.1.2-2]', () => {
    for (const level of ['00', '03', '06', '84']) {
      const packet = bytes(`10 0d 0004 4d515454 ${level} 02 000a 0001 70`)
      expect(() => parseConnect(packet)).toThrow(UnsupportedLevel)
    }
  })

  test('of 3.1 is read, whatever its unused bits say', () => {
    const packet = bytes('14 0f 0006 4d5149736470 03 03 000a 0001 70')
    expect(parseConnect(packet)).toMatchObject({ protocolVersion: 3, clean: true, clientId: 'p' })
  })

  const illFormed = [
    ['NUL', '610062'],
    ['a lone surrogate', '61eda08062'],
    ['an overlong encoding', '61c08062'],
    ['bytes that begin nothing', '61fffe62'],
    ['a sequence that is cut', '6162e282'],
    ['a control character', '610a62'],
    ['an escape', '611b62'],
    ['a C1 control character', '61c28562'],
    ['a non-character', '61efbfbf62'],
  ] as const
  const field = (hex: string): string => (hex.length / 2).toString(16).padStart(4, '0') + hex
  const packetOf = (body: string): Buffer =>
    bytes(`10 ${(body.length / 2).toString(16).padStart(2, '0')} ${body}`)

  test.each(illFormed)(
    'with %s in client id, username or will topic is at fault [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-3.1.3-4] [MQTT-3.1.3-11] [MQTT-3.1.3-12] [MQTT3-1.5.3-1] [MQTT3-1.5.3-2] [MQTT3-3.1.3-4] [MQTT3-3.1.3-10] [MQTT3-3.1.3-11]',
    (_name, hex) => {
      const start = (flags: string): string => `00044d51545404${flags}000a`
      for (const body of [
        start('02') + field(hex),
        start('82') + field('70') + field(hex),
        start('06') + field('70') + field(hex) + field('70'),
      ]) {
        expect(() => parseConnect(packetOf(body))).toThrow(PacketFault)
      }
    },
  )

  test('keeps a replacement character and a byte order mark that were really sent [MQTT-1.5.4-3] [MQTT3-1.5.3-3]', () => {
    const packet = packetOf(`00044d5154540402000a${field('efbbbfefbfbd')}`)
    expect(parseConnect(packet).clientId).toBe('\ufeff\ufffd')
  })
})

describe('a packet of a connected client', () => {
  test('that mqtt-packet wrote is read as it was meant', () => {
    const messageId = fc.integer({ min: 1, max: 65_535 })
    const topic = name.filter((given) => given !== '')
    const qos = fc.constantFrom(0, 1, 2)
    const options = { nl: fc.boolean(), rap: fc.boolean(), rh: fc.nat(2) }
    const subscribe = fc.record({
      cmd: fc.constant('subscribe'),
      messageId,
      subscriptions: fc.array(fc.record({ topic, qos, ...options }), { minLength: 1, maxLength: 5 }),
    })
    const unsubscribe = fc.record({
      cmd: fc.constant('unsubscribe'),
      messageId,
      unsubscriptions: fc.array(topic, { minLength: 1, maxLength: 5 }),
    })
    const acknowledgement = fc.record({
      cmd: fc.constantFrom('puback', 'pubrec', 'pubrel', 'pubcomp'),
      messageId,
    })
    const others = fc.record({ cmd: fc.constantFrom('pingreq', 'disconnect') })
    const packets = fc.oneof(subscribe, unsubscribe, acknowledgement, others)
    fc.assert(
      fc.property(packets, (packet) => {
        expect(parsePacket(written(packet, 5), 5)).toMatchObject(packet)
      }),
    )
  })

  test('of any bytes is a packet or a fault, never another error', () => {
    const body = fc.uint8Array({ maxLength: 60 })
    fc.assert(
      fc.property(fc.nat(255), body, version, (first, given, protocolVersion) => {
        const frame = Buffer.from([first, given.length, ...given])
        for (const parse of [() => parsePacket(frame, protocolVersion), () => parseConnect(frame)]) {
          try {
            parse()
          } catch (error) {
            if (!(error instanceof UnsupportedLevel)) expect(error).toBeInstanceOf(PacketFault)
          }
        }
      }),
      { numRuns: 20_000 },
    )
  })

  test.each([
    ['a SUBSCRIBE without filters [MQTT-3.8.3-2] [MQTT3-3.8.3-3]', '82 02 0001', 4],
    ['a SUBSCRIBE with other flags [MQTT-3.8.1-1] [MQTT3-3.8.1-1]', '80 06 0001 0001 61 00', 4],
    ['a SUBSCRIBE with an empty filter [MQTT-4.7.3-1] [MQTT3-4.7.3-1]', '82 05 0001 0000 00', 4],
    ['a SUBSCRIBE with packet id 0 [MQTT-2.2.1-3] [MQTT3-2.3.1-1]', '82 06 0000 0001 61 00', 4],
    ['a SUBSCRIBE with a reserved bit [MQTT-3.8.3-5]', '82 07 0001 00 0001 61 40', 5],
    ['a SUBSCRIBE with MQTT 5 options in 3.1.1 [MQTT3-3.8.3-4]', '82 06 0001 0001 61 04', 4],
    ['a SUBSCRIBE with retain handling 3', '82 07 0001 00 0001 61 30', 5],
    ['a SUBSCRIBE with identifier 0', '82 09 0001 02 0b00 0001 61 00', 5],
    ['an UNSUBSCRIBE without filters [MQTT-3.10.3-2] [MQTT3-3.10.3-2]', 'a2 02 0001', 4],
    ['an UNSUBSCRIBE with other flags [MQTT-3.10.1-1] [MQTT3-3.10.1-1]', 'a0 05 0001 0001 61', 4],
    ['an UNSUBSCRIBE with an ill-formed filter [MQTT-3.10.3-1] [MQTT3-3.10.3-1]', 'a2 06 0001 0002 c080', 4],
    ['a PUBREL with other flags [MQTT-3.6.1-1] [MQTT3-3.6.1-1]', '60 02 0001', 4],
    ['a PUBACK that goes on', '40 03 0001 00', 4],
    ['a PINGREQ with a body', 'c0 01 00', 4],
    ['a DISCONNECT with flags [MQTT-3.14.1-1] [MQTT3-3.14.1-1]', 'e1 00', 4],
    ['a DISCONNECT with a body in 3.1.1', 'e0 01 00', 4],
    ['a SUBACK', '90 03 0001 00', 4],
    ['an AUTH in 3.1.1', 'f0 00', 4],
  ] as const)('%s is at fault', (_name, hex, protocolVersion) => {
    expect(() => parsePacket(bytes(hex), protocolVersion)).toThrow(PacketFault)
  })

  test('a SUBSCRIBE may carry an identifier and user properties', () => {
    const packet: ISubscribePacket = {
      cmd: 'subscribe',
      messageId: 1,
      subscriptions: [{ topic: 'a', qos: 1 }],
      properties: { subscriptionIdentifier: 268_435_455, userProperties: { a: 'b' } },
    }
    const parsed = parsePacket(written(packet, 5), 5)
    expect(parsed).toMatchObject({ properties: { subscriptionIdentifier: 268_435_455 } })
  })
})

test.each([
  [{ cmd: 'disconnect', reasonCode: 0x8d }, 'e0018d'],
  [{ cmd: 'puback', messageId: 1, reasonCode: 0x87 }, '4003000187'],
  [{ cmd: 'pubcomp', messageId: 1, reasonCode: 0x92 }, '7003000192'],
  [{ cmd: 'pubrel', messageId: 1 }, '62020001'],
] as const)('%j is written in its short form', (packet, hex) => {
  expect(encodePacket(packet, 5).toString('hex')).toBe(hex)
})
