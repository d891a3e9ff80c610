import type { IPubackPacket, IPubcompPacket, IPubrecPacket, IPubrelPacket } from 'mqtt-packet'

export type Acknowledgement = IPubackPacket | IPubrecPacket | IPubrelPacket | IPubcompPacket

export type AcknowledgementName = keyof typeof firstBytes

/** First bytes with the flags that each must have [MQTT-2.1.3-1]. */
const firstBytes = { puback: 0x40, pubrec: 0x50, pubrel: 0x62, pubcomp: 0x70 } as const
const commands = new Map(
  Object.entries(firstBytes).map(([cmd, first]) => [first as number, cmd as AcknowledgementName]),
)

/** Length of the short form. */
export const acknowledgementBytes = 4

/**
 * Reads the short form of an acknowledgement: a packet id and nothing else, which means success in every version
 * (MQTT 5 §3.4.2.1). Undefined for any other frame.
 */
export function parseAcknowledgement(
  bytes: Buffer,
  start = 0,
  end = bytes.length,
): Acknowledgement | undefined {
  if (end - start !== acknowledgementBytes || bytes[start + 1] !== 2) return undefined
  const cmd = commands.get(bytes[start] ?? 0)
  if (cmd === undefined) return undefined
  return { cmd, messageId: bytes.readUInt16BE(start + 2) } as Acknowledgement
}

/** Writes the short form. Returns where it ends. */
export function writeAcknowledgement(
  bytes: Buffer,
  at: number,
  name: AcknowledgementName,
  messageId: number,
): number {
  bytes[at] = firstBytes[name]
  bytes[at + 1] = 2
  bytes[at + 2] = messageId >> 8
  bytes[at + 3] = messageId & 0xff
  return at + acknowledgementBytes
}
