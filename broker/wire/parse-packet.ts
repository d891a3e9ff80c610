import type {
  IDisconnectPacket,
  IPingreqPacket,
  IPubackPacket,
  IPubcompPacket,
  IPubrecPacket,
  IPubrelPacket,
} from 'mqtt-packet'
import { malformed, PacketReader, protocolError } from './packet-reader.ts'
import type { ProtocolVersion } from './parse-connect.ts'
import { readProperties, type Properties } from './properties.ts'

export interface RequestedSubscription {
  readonly topic: string
  readonly qos: 0 | 1 | 2
  /** MQTT 5 §3.8.3.1: no local, retain as published, retain handling. */
  readonly nl: boolean
  readonly rap: boolean
  readonly rh: number
}

export interface SubscribePacket {
  readonly cmd: 'subscribe'
  readonly messageId: number
  readonly subscriptions: readonly RequestedSubscription[]
  readonly properties?: Properties
}

export interface UnsubscribePacket {
  readonly cmd: 'unsubscribe'
  readonly messageId: number
  readonly unsubscriptions: readonly string[]
}

export type DisconnectPacket = Omit<IDisconnectPacket, 'properties'> & { readonly properties?: Properties }

/** What a client may send once it is connected, all but PUBLISH. */
export type ClientPacket =
  | SubscribePacket
  | UnsubscribePacket
  | DisconnectPacket
  | IPingreqPacket
  | IPubackPacket
  | IPubrecPacket
  | IPubrelPacket
  | IPubcompPacket

type Parse = (reader: PacketReader, version: ProtocolVersion) => ClientPacket

/** By first byte: type and the flags that it must have [MQTT-2.1.3-1]. */
const parsers: Readonly<Record<number, Parse>> = {
  0x40: (reader, version) => ({ cmd: 'puback', ...acknowledgement(reader, version, answersToPublish) }),
  0x50: (reader, version) => ({ cmd: 'pubrec', ...acknowledgement(reader, version, answersToPublish) }),
  0x62: (reader, version) => ({ cmd: 'pubrel', ...acknowledgement(reader, version, laterAnswers) }),
  0x70: (reader, version) => ({ cmd: 'pubcomp', ...acknowledgement(reader, version, laterAnswers) }),
  0x82: subscribe,
  0xa2: unsubscribe,
  0xc0: () => ({ cmd: 'pingreq' }),
  0xe0: disconnect,
}

/** MQTT 5 §3.4.2.1 and §3.5.2.1: of PUBACK and PUBREC [MQTT-3.4.2-1] [MQTT-3.5.2-1]. */
const answersToPublish = new Set([0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99])
/** MQTT 5 §3.6.2.1 and §3.7.2.1: of PUBREL and PUBCOMP [MQTT-3.6.2-1] [MQTT-3.7.2-1]. */
const laterAnswers = new Set([0x00, 0x92])

const typesOfClients: ReadonlySet<number> = new Set(Object.keys(parsers).map((first) => Number(first) >> 4))

/** Reads one complete frame that is neither CONNECT nor PUBLISH; throws a PacketFault. */
export function parsePacket(frame: Buffer, version: ProtocolVersion): ClientPacket {
  const first = frame[0] ?? 0
  // A second CONNECT [MQTT-3.1.0-2], AUTH without a method, what only servers send, and what is none at all.
  if (first < 0x10 || ((first & 0x0f) === 0 && !typesOfClients.has(first >> 4))) {
    throw protocolError('not for a client to send')
  }
  const parse = parsers[first]
  if (parse === undefined) throw malformed('flags that this packet must not have')
  const reader = new PacketReader(frame)
  const packet = parse(reader, version)
  reader.end()
  return packet
}

function acknowledgement(
  reader: PacketReader,
  version: ProtocolVersion,
  allowed: ReadonlySet<number>,
): { messageId: number; reasonCode?: number } {
  const messageId = packetId(reader)
  if (version < 5 || reader.isAtEnd) return { messageId }
  const reasonCode = reasonOf(reader, allowed)
  if (!reader.isAtEnd) readProperties(reader, 'acknowledgement')
  return { messageId, reasonCode }
}

function subscribe(reader: PacketReader, version: ProtocolVersion): SubscribePacket {
  const messageId = packetId(reader)
  const properties = version === 5 ? readProperties(reader, 'subscribe').values : undefined
  const subscriptions: RequestedSubscription[] = []
  // [MQTT-3.8.3-2]
  do {
    subscriptions.push({ topic: filter(reader), ...options(reader.byte(), version) })
  } while (!reader.isAtEnd)
  return { cmd: 'subscribe', messageId, subscriptions, ...(properties === undefined ? {} : { properties }) }
}

/** [MQTT-3.8.3-4] [MQTT-3.8.3-5] */
function options(bits: number, version: ProtocolVersion): Omit<RequestedSubscription, 'topic'> {
  const qos = bits & 3
  const rh = (bits >> 4) & 3
  if (qos === 3) throw malformed('QoS 3')
  if (version < 5 ? bits > 2 : bits > 0x3f || rh === 3) throw malformed('a reserved bit is set')
  return { qos: qos as 0 | 1 | 2, nl: (bits & 4) !== 0, rap: (bits & 8) !== 0, rh }
}

function unsubscribe(reader: PacketReader, version: ProtocolVersion): UnsubscribePacket {
  const messageId = packetId(reader)
  if (version === 5) readProperties(reader, 'unsubscribe')
  const unsubscriptions: string[] = []
  // [MQTT-3.10.3-2]
  do unsubscriptions.push(filter(reader))
  while (!reader.isAtEnd)
  return { cmd: 'unsubscribe', messageId, unsubscriptions }
}

function disconnect(reader: PacketReader, version: ProtocolVersion): DisconnectPacket {
  if (version < 5 || reader.isAtEnd) return { cmd: 'disconnect' }
  const reasonCode = reader.byte()
  if (reader.isAtEnd) return { cmd: 'disconnect', reasonCode }
  return { cmd: 'disconnect', reasonCode, properties: readProperties(reader, 'disconnect').values }
}

function reasonOf(reader: PacketReader, allowed: ReadonlySet<number>): number {
  const code = reader.byte()
  if (!allowed.has(code)) throw protocolError(`reason code ${code} does not belong here`)
  return code
}

/** [MQTT-4.7.3-1] */
function filter(reader: PacketReader): string {
  const text = reader.name()
  if (text === '') throw malformed('an empty filter')
  return text
}

/** [MQTT-2.2.1-3] */
function packetId(reader: PacketReader): number {
  const messageId = reader.uint16()
  if (messageId === 0) throw protocolError('packet id 0')
  return messageId
}
