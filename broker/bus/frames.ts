import mqttPacket from 'mqtt-packet'
import type { RoutedMessage } from '../aedes/messages.ts'
import { PacketParser } from '../wire/packets.ts'

/**
 * What replicas tell each other: batches of messages of one organization, as bytes. Numbers are big-endian.
 *
 *     batch    'C' 'S' version:u8 sender:8 sequence:u32 message*
 *     message  length:u32 qos:u8 brokerCounter:u48 clientIdLength:u16 clientId publish
 *
 * `publish` is a PUBLISH packet of MQTT 5 at QoS 0, so that properties keep every bit; `length` counts what
 * follows it. `sequence` counts a sender's batches of one organization.
 */
export const senderBytes = 8
const version = 1
const headBytes = 3 + senderBytes + 4
const messageHeadBytes = 4 + 1 + 6 + 2

export interface Batch {
  /** Hex. Names the replica that sent it. */
  readonly sender: string
  readonly sequence: number
  readonly messages: readonly RoutedMessage[]
}

export function encodeBatch(sender: Buffer, sequence: number, messages: readonly RoutedMessage[]): Buffer {
  const head = Buffer.alloc(headBytes)
  head.write('CS', 'latin1')
  head.writeUInt8(version, 2)
  sender.copy(head, 3, 0, senderBytes)
  head.writeUInt32BE(sequence >>> 0, 3 + senderBytes)
  return Buffer.concat([head, ...messages.flatMap(encodeMessage)])
}

/** Undefined for anything that is not exactly a batch: a channel may carry what others put on it. */
export function decodeBatch(bytes: Buffer): Batch | undefined {
  if (bytes.length < headBytes || bytes.toString('latin1', 0, 2) !== 'CS' || bytes[2] !== version)
    return undefined
  const sender = bytes.toString('hex', 3, 3 + senderBytes)
  const sequence = bytes.readUInt32BE(3 + senderBytes)
  const messages: RoutedMessage[] = []
  try {
    for (let at = headBytes; at < bytes.length;) {
      const end = at + 4 + bytes.readUInt32BE(at)
      if (end > bytes.length) return undefined
      messages.push(decodeMessage(bytes.subarray(at + 4, end), sender))
      at = end
    }
  } catch {
    return undefined
  }
  return { sender, sequence, messages }
}

function encodeMessage(message: RoutedMessage): Buffer[] {
  const { topic, payload, retain, properties } = message
  const packet = { cmd: 'publish', qos: 0, dup: false, topic, payload, retain } as const
  const publish = mqttPacket.generate(properties === undefined ? packet : { ...packet, properties }, {
    protocolVersion: 5,
  })
  const clientId = Buffer.from(message.clientId ?? '', 'utf8')
  const head = Buffer.alloc(messageHeadBytes)
  head.writeUInt32BE(messageHeadBytes - 4 + clientId.length + publish.length, 0)
  head.writeUInt8(message.qos, 4)
  head.writeUIntBE(message.brokerCounter, 5, 6)
  head.writeUInt16BE(clientId.length, 11)
  return [head, clientId, publish]
}

function decodeMessage(bytes: Buffer, sender: string): RoutedMessage {
  const qos = bytes.readUInt8(0)
  const idEnd = 9 + bytes.readUInt16BE(7)
  if (qos > 2 || idEnd > bytes.length) throw new RangeError('not a message')
  const clientId = bytes.toString('utf8', 9, idEnd)
  const packet = new PacketParser(5).parse(bytes.subarray(idEnd))
  if (packet.cmd !== 'publish') throw new RangeError('not a message')
  return {
    brokerId: sender,
    brokerCounter: bytes.readUIntBE(1, 6),
    topic: packet.topic,
    payload: packet.payload as Buffer,
    qos: qos as 0 | 1 | 2,
    retain: packet.retain,
    ...(clientId === '' ? {} : { clientId }),
    ...(packet.properties === undefined ? {} : { properties: packet.properties }),
  }
}
