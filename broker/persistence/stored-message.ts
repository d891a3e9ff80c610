import type { RoutedMessage } from '../aedes/messages.ts'
import { messageExpiry, withMessageExpiry } from '../wire/message-expiry.ts'

/**
 * A message as it lies in Redis, numbers big-endian:
 *
 *     version:u8 flags:u8 brokerCounter:u48 brokerIdLength:u16 clientIdLength:u16 topicLength:u16
 *     propertiesLength:u32 brokerId clientId topic properties payload
 *
 * Bits 0-1 of `flags` are the QoS, bit 2 says retained, bit 3 that there are properties.
 */
const version = 1
const headBytes = 1 + 1 + 6 + 2 + 2 + 2 + 4
const retainFlag = 4
const propertiesFlag = 8

export function encodeMessage(message: RoutedMessage, qos = message.qos): Buffer {
  const { brokerId, brokerCounter, clientId = '', topic, properties, payload, retain } = message
  const texts = Buffer.byteLength(brokerId) + Buffer.byteLength(clientId) + Buffer.byteLength(topic)
  const bytes = Buffer.allocUnsafe(headBytes + texts + (properties?.length ?? 0) + payload.length)
  let at = headBytes
  const lengths = [brokerId, clientId, topic].map((text) => {
    const length = bytes.write(text, at, 'utf8')
    at += length
    return length
  })
  at += properties?.copy(bytes, at) ?? 0
  payload.copy(bytes, at)
  bytes.writeUInt8(version, 0)
  bytes.writeUInt8(qos | (retain ? retainFlag : 0) | (properties === undefined ? 0 : propertiesFlag), 1)
  bytes.writeUIntBE(brokerCounter, 2, 6)
  for (const [index, length] of lengths.entries()) bytes.writeUInt16BE(length, 8 + index * 2)
  bytes.writeUInt32BE(properties?.length ?? 0, 14)
  return bytes
}

/** Undefined for what is no message of ours: another version may have written it. */
export function decodeMessage(bytes: Buffer): RoutedMessage | undefined {
  if (bytes.length < headBytes || bytes[0] !== version) return undefined
  const flags = bytes.readUInt8(1)
  const clientIdAt = headBytes + bytes.readUInt16BE(8)
  const topicAt = clientIdAt + bytes.readUInt16BE(10)
  const propertiesAt = topicAt + bytes.readUInt16BE(12)
  const payloadAt = propertiesAt + bytes.readUInt32BE(14)
  if (payloadAt > bytes.length) return undefined
  const clientId = bytes.toString('utf8', clientIdAt, topicAt)
  return {
    brokerId: bytes.toString('utf8', headBytes, clientIdAt),
    brokerCounter: bytes.readUIntBE(2, 6),
    topic: bytes.toString('utf8', topicAt, propertiesAt),
    payload: bytes.subarray(payloadAt),
    qos: (flags & 3) as 0 | 1 | 2,
    retain: (flags & retainFlag) !== 0,
    ...(clientId === '' ? {} : { clientId }),
    ...((flags & propertiesFlag) === 0 ? {} : { properties: bytes.subarray(propertiesAt, payloadAt) }),
  }
}

/** The message as it goes on at `now`, with what is left of its expiry; undefined when that is over. */
export function unexpired<M extends { readonly properties?: Buffer }>(
  message: M,
  storedAt: number,
  now: number,
): M | undefined {
  const seconds = messageExpiry(message.properties)
  if (seconds === undefined || message.properties === undefined) return message
  const left = storedAt + seconds * 1_000 - now
  if (left <= 0) return undefined
  return { ...message, properties: withMessageExpiry(message.properties, Math.ceil(left / 1_000)) }
}
