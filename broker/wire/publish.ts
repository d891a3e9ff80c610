import { PacketFault } from './packet-fault.ts'
import { type PublishProperties, readPublishProperties } from './publish-properties.ts'
import { isName } from './text.ts'
import type { TopicMemo } from './topic-memo.ts'
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
  /** The whole packet as it came. */
  readonly frame: EncodedPublish
}

const publishType = 0x30

export function isPublishFrame(bytes: Buffer, start: number): boolean {
  return ((bytes[start] ?? 0) & 0xf0) === publishType
}

/** Reads one complete frame (MQTT 5 §3.3, 3.1.1 §3.3); throws a PacketFault. */
export function parsePublish(
  bytes: Buffer,
  version: number,
  start = 0,
  end = bytes.length,
  memo?: TopicMemo,
): Publish {
  const flags = bytes.readUInt8(start)
  const qos = (flags >> 1) & 3
  // [MQTT-3.3.1-4]
  if (qos === 3) throw new PacketFault('malformed-packet', 'QoS 3')
  // [MQTT-3.3.1-2]
  if (qos === 0 && (flags & 8) !== 0) throw new PacketFault('malformed-packet', 'DUP with QoS 0')
  const topicAt = endOfHeader(bytes, start) + 2
  if (topicAt > end) throw new PacketFault('malformed-packet', 'no topic')
  const topicEnd = topicAt + bytes.readUInt16BE(topicAt - 2)
  if (topicEnd > end) throw new PacketFault('malformed-packet', 'the topic is longer than the packet')
  const topic = memo?.find(bytes, topicAt, topicEnd) ?? readTopic(bytes, topicAt, topicEnd, memo)
  let at = topicEnd
  let messageId = 0
  if (qos > 0) {
    if (at + 2 > end) throw new PacketFault('malformed-packet', 'no packet id')
    messageId = bytes.readUInt16BE(at)
    // [MQTT-2.2.1-3]
    if (messageId === 0) throw new PacketFault('protocol-error', 'packet id 0')
    at += 2
  }
  let properties: PublishProperties | undefined
  if (version === 5) {
    properties = readPublishProperties(bytes.subarray(start, end), at - start)
    at = start + properties.end
  }
  return {
    cmd: 'publish',
    topic,
    payload: bytes.subarray(at, end),
    qos: qos as 0 | 1 | 2,
    retain: (flags & 1) === 1,
    dup: (flags & 8) === 8,
    messageId,
    properties,
    frame: { bytes, start, end, messageIdAt: topicEnd },
  }
}

/** [MQTT-1.5.4-1] [MQTT-1.5.4-2] */
function readTopic(bytes: Buffer, start: number, end: number, memo: TopicMemo | undefined): string {
  if (!isName(bytes, start, end)) throw new PacketFault('malformed-packet', 'ill-formed topic')
  const topic = bytes.toString('utf8', start, end)
  memo?.keep(bytes, start, end, topic)
  return topic
}

/** What is sent of a message, whoever gets it. */
export interface PublishContent {
  readonly topic: string
  readonly payload: Buffer
  /** Property bytes of MQTT 5, without their length; left out for other versions. */
  readonly properties?: Buffer
}

/** A packet: `bytes` from `start` to `end`, and where its packet id stands, above QoS 0. */
export interface EncodedPublish {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
  readonly messageIdAt: number
}

/** Encodes a PUBLISH with packet id 0 where it needs one: each client gets its own. */
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
  return { bytes, start: 0, end: bytes.length, messageIdAt }
}

/**
 * Whether a packet that came can go on as it is, but for its packet id: to a client of the same version, at the
 * same QoS, without a retain flag. Not one that was sent before or has an alias for its topic, nor one whose
 * length takes more bytes than it needs [MQTT-1.5.5-1].
 */
export function isReusable({ frame, retain, dup, properties }: Publish): boolean {
  if (retain || dup) return false
  if (properties !== undefined && (properties.bytes.length > 0 || properties.topicAlias !== undefined))
    return false
  const { bytes, start, end } = frame
  const header = endOfHeader(bytes, start) - start
  return header === 1 + lengthBytes(end - start - header)
}

/** [MQTT-3.3.1-1] */
export function setDuplicate(bytes: Buffer, start: number): void {
  bytes[start] = (bytes[start] ?? 0) | 8
}

const noBytes = Buffer.alloc(0)

/** Where the variable header begins; the framer has checked the length. */
function endOfHeader(bytes: Buffer, start: number): number {
  let at = start + 1
  while (((bytes[at] ?? 0) & 0x80) !== 0) at += 1
  return at + 1
}
