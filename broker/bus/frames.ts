import type { RoutedMessage } from '../aedes/messages.ts'

/**
 * What replicas tell each other: batches of messages of one organization, as bytes. Numbers are big-endian.
 *
 *     batch    'C' 'S' version:u8 sender:8 sequence:u32 message*
 *     message  length:u32 flags:u8 brokerCounter:u48 clientIdLength:u16 topicLength:u16 propertiesLength:u32
 *              clientId topic properties payload
 *
 * `length` counts what follows it. Bits 0-1 of `flags` are the QoS, bit 2 says retained, bit 3 that there are
 * properties. `sequence` counts a sender's batches of one organization.
 */
export const senderBytes = 8
const version = 2
const headBytes = 3 + senderBytes + 4
const messageHeadBytes = 4 + 1 + 6 + 2 + 2 + 4
const retainFlag = 4
const propertiesFlag = 8

export interface Batch {
  /** Hex. Names the replica that sent it. */
  readonly sender: string
  readonly sequence: number
  readonly messages: readonly RoutedMessage[]
}

export function encodeBatch(sender: Buffer, sequence: number, messages: readonly RoutedMessage[]): Buffer {
  let length = headBytes
  for (const message of messages) length += lengthOf(message)
  const bytes = Buffer.allocUnsafe(length)
  bytes.write('CS', 'latin1')
  bytes.writeUInt8(version, 2)
  sender.copy(bytes, 3, 0, senderBytes)
  bytes.writeUInt32BE(sequence >>> 0, 3 + senderBytes)
  let at = headBytes
  for (const message of messages) at = writeMessage(bytes, at, message)
  return bytes
}

/** Undefined for anything that is not exactly a batch: a channel may carry what others put on it. */
export function decodeBatch(bytes: Buffer): Batch | undefined {
  if (bytes.length < headBytes || bytes.toString('latin1', 0, 2) !== 'CS' || bytes[2] !== version)
    return undefined
  const sender = bytes.toString('hex', 3, 3 + senderBytes)
  const sequence = bytes.readUInt32BE(3 + senderBytes)
  const messages: RoutedMessage[] = []
  for (let at = headBytes; at < bytes.length;) {
    if (at + messageHeadBytes > bytes.length) return undefined
    const end = at + 4 + bytes.readUInt32BE(at)
    const message = end > bytes.length ? undefined : readMessage(bytes, at, end, sender)
    if (message === undefined) return undefined
    messages.push(message)
    at = end
  }
  return { sender, sequence, messages }
}

function lengthOf({ clientId, topic, properties, payload }: RoutedMessage): number {
  const texts = Buffer.byteLength(clientId ?? '') + Buffer.byteLength(topic)
  return messageHeadBytes + texts + (properties?.length ?? 0) + payload.length
}

function writeMessage(bytes: Buffer, start: number, message: RoutedMessage): number {
  const { clientId = '', topic, properties, payload, qos, retain, brokerCounter } = message
  const body = start + messageHeadBytes
  const clientIdLength = bytes.write(clientId, body, 'utf8')
  const topicLength = bytes.write(topic, body + clientIdLength, 'utf8')
  let end = body + clientIdLength + topicLength
  end += properties?.copy(bytes, end) ?? 0
  end += payload.copy(bytes, end)
  const flags = qos | (retain ? retainFlag : 0) | (properties === undefined ? 0 : propertiesFlag)
  bytes.writeUInt32BE(end - start - 4, start)
  bytes.writeUInt8(flags, start + 4)
  bytes.writeUIntBE(brokerCounter, start + 5, 6)
  bytes.writeUInt16BE(clientIdLength, start + 11)
  bytes.writeUInt16BE(topicLength, start + 13)
  bytes.writeUInt32BE(properties?.length ?? 0, start + 15)
  return end
}

function readMessage(bytes: Buffer, start: number, end: number, sender: string): RoutedMessage | undefined {
  const flags = bytes.readUInt8(start + 4)
  const qos = flags & 3
  const body = start + messageHeadBytes
  const topicAt = body + bytes.readUInt16BE(start + 11)
  const propertiesAt = topicAt + bytes.readUInt16BE(start + 13)
  const payloadAt = propertiesAt + bytes.readUInt32BE(start + 15)
  if (qos === 3 || payloadAt > end || topicAt === propertiesAt) return undefined
  const clientId = bytes.toString('utf8', body, topicAt)
  return {
    brokerId: sender,
    brokerCounter: bytes.readUIntBE(start + 5, 6),
    topic: bytes.toString('utf8', topicAt, propertiesAt),
    payload: bytes.subarray(payloadAt, end),
    qos: qos as 0 | 1 | 2,
    retain: (flags & retainFlag) !== 0,
    ...(clientId === '' ? {} : { clientId }),
    ...((flags & propertiesFlag) === 0 ? {} : { properties: bytes.subarray(propertiesAt, payloadAt) }),
  }
}
