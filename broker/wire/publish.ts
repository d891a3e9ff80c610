import { PacketFault } from './packet-fault.ts'
import { type PublishProperties, readPublishProperties } from './publish-properties.ts'
import { isName } from './text.ts'
import { lengthBytes, writeLength } from './variable-integer.ts'

/** A PUBLISH packet, taken apart without copying: all buffers are views of the frame it came in. */
export interface Publish {
  readonly cmd: 'publish'
  readonly topic: string
  readonly payload: Buffer
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  readonly dup: boolean
  /** 0 for QoS 0, which has none. */
  readonly messageId: number
  /** MQTT 5 only. */
  readonly properties: PublishProperties | undefined
}

const publishType = 0x30

export function isPublishFrame(frame: Buffer): boolean {
  return ((frame[0] ?? 0) & 0xf0) === publishType
}

/** Reads one complete frame (MQTT 5 §3.3, 3.1.1 §3.3); throws a PacketFault. */
export function parsePublish(frame: Buffer, version: number): Publish {
  const flags = frame.readUInt8(0)
  const qos = (flags >> 1) & 3
  // [MQTT-3.3.1-4]
  if (qos === 3) throw new PacketFault('malformed-packet', 'QoS 3')
  // [MQTT-3.3.1-2]
  if (qos === 0 && (flags & 8) !== 0) throw new PacketFault('malformed-packet', 'DUP with QoS 0')
  let at = endOfHeader(frame)
  if (at + 2 > frame.length) throw new PacketFault('malformed-packet', 'no topic')
  const topicEnd = at + 2 + frame.readUInt16BE(at)
  if (topicEnd > frame.length)
    throw new PacketFault('malformed-packet', 'the topic is longer than the packet')
  // [MQTT-1.5.4-1] [MQTT-1.5.4-2]
  if (!isName(frame, at + 2, topicEnd)) throw new PacketFault('malformed-packet', 'ill-formed topic')
  const topic = frame.toString('utf8', at + 2, topicEnd)
  at = topicEnd
  let messageId = 0
  if (qos > 0) {
    if (at + 2 > frame.length) throw new PacketFault('malformed-packet', 'no packet id')
    messageId = frame.readUInt16BE(at)
    // [MQTT-2.2.1-3]
    if (messageId === 0) throw new PacketFault('protocol-error', 'packet id 0')
    at += 2
  }
  let properties: PublishProperties | undefined
  if (version === 5) {
    properties = readPublishProperties(frame, at)
    at = properties.end
  }
  return {
    cmd: 'publish',
    topic,
    payload: frame.subarray(at),
    qos: qos as 0 | 1 | 2,
    retain: (flags & 1) === 1,
    dup: (flags & 8) === 8,
    messageId,
    properties,
  }
}

/** What is sent of a message, whoever gets it. */
export interface PublishContent {
  readonly topic: string
  readonly payload: Buffer
  /** Property bytes of MQTT 5, without their length; left out for other versions. */
  readonly properties?: Buffer
}

/** Where the packet id stands in an encoded packet above QoS 0. */
export interface EncodedPublish {
  readonly bytes: Buffer
  readonly messageIdAt: number
}

/** Encodes a PUBLISH with packet id 0 where it needs one: `withMessageId` makes each client's own. */
export function encodePublish(
  content: PublishContent,
  version: number,
  qos: number,
  retain: boolean,
): EncodedPublish {
  const topicLength = Buffer.byteLength(content.topic)
  const properties = version === 5 ? (content.properties ?? noBytes) : noBytes
  const propertyBytes = version === 5 ? lengthBytes(properties.length) + properties.length : 0
  const remaining = 2 + topicLength + (qos > 0 ? 2 : 0) + propertyBytes + content.payload.length
  const bytes = Buffer.allocUnsafe(1 + lengthBytes(remaining) + remaining)
  bytes[0] = publishType | (qos << 1) | (retain ? 1 : 0)
  let at = writeLength(bytes, 1, remaining)
  at = bytes.writeUInt16BE(topicLength, at)
  at += bytes.write(content.topic, at, 'utf8')
  const messageIdAt = at
  if (qos > 0) at = bytes.writeUInt16BE(0, at)
  if (version === 5) {
    at = writeLength(bytes, at, properties.length)
    at += properties.copy(bytes, at)
  }
  content.payload.copy(bytes, at)
  return { bytes, messageIdAt }
}

/** A copy with this packet id, marked as sent before when it was [MQTT-3.3.1-1]. */
export function withMessageId(
  { bytes, messageIdAt }: EncodedPublish,
  messageId: number,
  dup: boolean,
): Buffer {
  const own = Buffer.from(bytes)
  own.writeUInt16BE(messageId, messageIdAt)
  if (dup) own[0] = (own[0] ?? 0) | 8
  return own
}

const noBytes = Buffer.alloc(0)

/** Where the variable header begins; the framer has checked the length. */
function endOfHeader(frame: Buffer): number {
  let at = 1
  while (((frame[at] ?? 0) & 0x80) !== 0) at += 1
  return at + 1
}
