import type { IPubackPacket, IPubcompPacket, IPubrecPacket, IPubrelPacket } from 'mqtt-packet'

export type Acknowledgement = IPubackPacket | IPubrecPacket | IPubrelPacket | IPubcompPacket

/** First bytes with the flags that each must have [MQTT-2.1.3-1]. */
const firstBytes = { puback: 0x40, pubrec: 0x50, pubrel: 0x62, pubcomp: 0x70 } as const
const commands = new Map(
  Object.entries(firstBytes).map(([cmd, first]) => [first as number, cmd as keyof typeof firstBytes]),
)

/**
 * Reads the short form of an acknowledgement: a packet id and nothing else, which means success in every version
 * (MQTT 5 §3.4.2.1). Undefined for any other frame.
 */
export function parseAcknowledgement(frame: Buffer): Acknowledgement | undefined {
  if (frame.length !== 4 || frame[1] !== 2) return undefined
  const cmd = commands.get(frame[0] ?? 0)
  return cmd === undefined ? undefined : ({ cmd, messageId: frame.readUInt16BE(2) } as Acknowledgement)
}

/** The short form of an acknowledgement. */
export function encodeAcknowledgement(cmd: keyof typeof firstBytes, messageId: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes[0] = firstBytes[cmd]
  bytes[1] = 2
  bytes[2] = messageId >> 8
  bytes[3] = messageId & 0xff
  return bytes
}
