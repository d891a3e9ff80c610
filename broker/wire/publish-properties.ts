import { PacketFault } from './packet-fault.ts'
import { isName, isText } from './text.ts'
import { lengthBytes, writeLength } from './variable-integer.ts'

/** The properties of a PUBLISH (MQTT 5 §3.3.2.3) as they came, and what the broker itself looks at. */
export interface PublishProperties {
  /** Without their length, and without the topic alias, which is between the broker and this client only. */
  readonly bytes: Buffer
  /** Where the payload begins. */
  readonly end: number
  readonly topicAlias: number | undefined
  readonly hasSubscriptionIdentifier: boolean
}

type Reader = (frame: Buffer, at: number, end: number) => number

const fixed =
  (length: number): Reader =>
  (_frame, at) =>
    at + length

const binary: Reader = (frame, at, end) => (at + 2 > end ? end + 1 : at + 2 + frame.readUInt16BE(at))

const text: Reader = (frame, at, end) => {
  const after = binary(frame, at, end)
  if (after > end) return after
  const bytes = frame.subarray(at + 2, after)
  if (!isText(bytes)) throw new PacketFault('malformed-packet', 'ill-formed text in a property')
  return after
}

/** [MQTT-3.3.2-14] */
const topicName: Reader = (frame, at, end) => {
  const after = binary(frame, at, end)
  if (after > end) return after
  if (!isName(frame, at + 2, after)) throw new PacketFault('malformed-packet', 'ill-formed response topic')
  for (let index = at + 2; index < after; index += 1) {
    if (frame[index] === plus || frame[index] === hash) {
      throw new PacketFault('protocol-error', 'a response topic with a wildcard')
    }
  }
  return after
}

const pair: Reader = (frame, at, end) => text(frame, text(frame, at, end), end)

const variableInteger: Reader = (frame, at, end) => readVariableInteger(frame, at, end).end

const flag: Reader = (frame, at, end) => {
  if (at < end && (frame[at] ?? 0) > 1)
    throw new PacketFault('protocol-error', 'the payload format is neither 0 nor 1')
  return at + 1
}

const topicAlias = 0x23
const subscriptionIdentifier = 0x0b
const responseTopicProperty = 0x08
const correlationProperty = 0x09
const userProperty = 0x26
const plus = 0x2b
const hash = 0x23

/** By identifier (MQTT 5 §2.2.2.2). Each returns where its value ends. */
const readers: Readonly<Record<number, Reader>> = {
  0x01: flag,
  0x02: fixed(4),
  0x03: text,
  [responseTopicProperty]: topicName,
  [correlationProperty]: binary,
  [subscriptionIdentifier]: variableInteger,
  [topicAlias]: fixed(2),
  [userProperty]: pair,
}

const none: Omit<PublishProperties, 'end'> = {
  bytes: Buffer.alloc(0),
  topicAlias: undefined,
  hasSubscriptionIdentifier: false,
}

/** Checks every property; throws a PacketFault. */
export function readPublishProperties(frame: Buffer, at: number): PublishProperties {
  const length = readVariableInteger(frame, at, frame.length)
  if (length.value === 0) return { ...none, end: length.end }
  const end = length.end + length.value
  if (end > frame.length)
    throw new PacketFault('malformed-packet', 'the properties are longer than the packet')
  const seen = new Set<number>()
  let aliasAt = 0
  for (let position = length.end; position < end;) {
    const identifier = frame.readUInt8(position)
    const reader = readers[identifier]
    if (reader === undefined)
      throw new PacketFault('malformed-packet', 'a property that PUBLISH does not have')
    // MQTT 5 §3.3.2.3: all but these stand once at most.
    if (seen.has(identifier) && identifier !== userProperty && identifier !== subscriptionIdentifier) {
      throw new PacketFault('protocol-error', 'a property stands twice')
    }
    seen.add(identifier)
    if (identifier === topicAlias) aliasAt = position
    position = reader(frame, position + 1, end)
    if (position > end) throw new PacketFault('malformed-packet', 'a property is longer than the properties')
  }
  return {
    bytes: aliasAt === 0 ? frame.subarray(length.end, end) : without(frame, aliasAt, length.end, end),
    end,
    topicAlias: aliasAt === 0 ? undefined : frame.readUInt16BE(aliasAt + 1),
    hasSubscriptionIdentifier: seen.has(subscriptionIdentifier),
  }
}

/** With its identifier. */
const topicAliasBytes = 3

function without(frame: Buffer, aliasAt: number, start: number, end: number): Buffer {
  return Buffer.concat([frame.subarray(start, aliasAt), frame.subarray(aliasAt + topicAliasBytes, end)])
}

/** Property bytes with a topic alias added. */
export function withTopicAlias(properties: Buffer | undefined, alias: number): Buffer {
  const added = Buffer.from([topicAlias, alias >> 8, alias & 0xff])
  return properties === undefined ? added : Buffer.concat([added, properties])
}

/** UTF-8 text in JSON: Payload Format Indicator and Content Type (MQTT 5 §3.3.2.3). */
export const jsonProperties = Buffer.concat([
  Buffer.from([0x01, 1, 0x03, 0, 'application/json'.length]),
  Buffer.from('application/json'),
])

/** What somebody who asks gives along (MQTT 5 §4.10), out of properties that were checked. */
export function requestProperties(bytes: Buffer = none.bytes): {
  readonly responseTopic?: string
  /** The whole property, as it goes back. */
  readonly correlation?: Buffer
} {
  let found: { responseTopic?: string; correlation?: Buffer } = {}
  for (let position = 0; position < bytes.length;) {
    const identifier = bytes.readUInt8(position)
    const end = readers[identifier]?.(bytes, position + 1, bytes.length) ?? bytes.length
    if (identifier === responseTopicProperty) {
      found = { ...found, responseTopic: bytes.toString('utf8', position + 3, end) }
    } else if (identifier === correlationProperty) {
      found = { ...found, correlation: Buffer.from(bytes.subarray(position, end)) }
    }
    position = end
  }
  return found
}

/** Property bytes with these subscription identifiers added. */
export function withIdentifiers(properties: Buffer | undefined, identifiers: readonly number[]): Buffer {
  const added = identifiers.map((value) => {
    const bytes = Buffer.alloc(1 + lengthBytes(value), subscriptionIdentifier)
    writeLength(bytes, 1, value)
    return bytes
  })
  return Buffer.concat(properties === undefined ? added : [properties, ...added])
}

function readVariableInteger(frame: Buffer, at: number, end: number): { value: number; end: number } {
  let value = 0
  for (let index = 0; index < 4; index += 1) {
    const byte = at + index < end ? (frame[at + index] ?? 0) : 0x80
    value += (byte & 0x7f) * 128 ** index
    if (byte < 0x80) {
      // [MQTT-1.5.5-1]
      if (byte === 0 && index > 0) break
      return { value, end: at + index + 1 }
    }
  }
  throw new PacketFault('malformed-packet', 'a length that does not end')
}
