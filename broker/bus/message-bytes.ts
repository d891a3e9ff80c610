import type { RoutedMessage } from '../aedes/messages.ts'

/**
 * Messages as the bytes of a batch:
 *
 *     message  length:u32 flags:u8 brokerCounter:u48 clientIdLength:u16 topicLength:u16 propertiesLength:u32
 *              clientId topic properties payload
 *
 * `length` counts what follows it. Bits 0-1 of `flags` are the QoS, bit 2 says retained, bit 3 that there are
 * properties.
 */
const headBytes = 4 + 1 + 6 + 2 + 2 + 4
const retainFlag = 4
const propertiesFlag = 8

export function lengthOf({ clientId, topic, properties, payload }: RoutedMessage): number {
  const texts = Buffer.byteLength(clientId ?? '') + Buffer.byteLength(topic)
  return headBytes + texts + (properties?.length ?? 0) + payload.length
}

/** Returns where the message ends. */
export function writeMessage(bytes: Buffer, start: number, message: RoutedMessage): number {
  const { clientId = '', topic, properties, payload, qos, retain, brokerCounter } = message
  const body = start + headBytes
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

/** Undefined when the bytes are not exactly messages. Buffers of the messages are views of `bytes`. */
export function readMessages(bytes: Buffer, sender: string): RoutedMessage[] | undefined {
  const messages: RoutedMessage[] = []
  for (let at = 0; at < bytes.length;) {
    if (at + headBytes > bytes.length) return undefined
    const end = at + 4 + bytes.readUInt32BE(at)
    const message = end > bytes.length ? undefined : readMessage(bytes, at, end, sender)
    if (message === undefined) return undefined
    messages.push(message)
    at = end
  }
  return messages
}

function readMessage(bytes: Buffer, start: number, end: number, sender: string): RoutedMessage | undefined {
  const flags = bytes.readUInt8(start + 4)
  const qos = flags & 3
  const body = start + headBytes
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
