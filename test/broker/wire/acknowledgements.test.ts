import mqttPacket, { type Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { parseAcknowledgement, writeAcknowledgement } from '../../../broker/wire/acknowledgements.ts'

const commands = ['puback', 'pubrec', 'pubrel', 'pubcomp'] as const

describe.each(commands)('a short %s', (cmd) => {
  test.each([4, 5] as const)(
    'is written as mqtt-packet writes it, and read again (version %s)',
    (protocolVersion) => {
      for (const messageId of [1, 255, 256, 65_535]) {
        const theirs = mqttPacket.generate({ cmd, messageId } as Packet, { protocolVersion: 4 })
        const ours = Buffer.alloc(4)
        expect(writeAcknowledgement(ours, 0, cmd, messageId)).toBe(4)
        expect(ours.equals(theirs)).toBe(true)
        expect(parseAcknowledgement(ours)).toEqual({ cmd, messageId })
        const parser = mqttPacket.parser({ protocolVersion })
        const packets: Packet[] = []
        parser.on('packet', (packet) => packets.push(packet))
        parser.parse(ours)
        expect(packets[0]).toMatchObject({ cmd, messageId })
      }
    },
  )
})

test('every other frame is left to the parser', () => {
  const frames = [
    [0x40, 3, 0, 1, 0x10],
    [0x40, 2, 0],
    [0x41, 2, 0, 1],
    [0x60, 2, 0, 1],
    [0x30, 2, 0, 1],
    [0xc0, 0],
  ]
  for (const frame of frames) expect(parseAcknowledgement(Buffer.from(frame))).toBeUndefined()
})
