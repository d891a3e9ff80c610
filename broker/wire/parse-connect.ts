import type { IConnectPacket } from 'mqtt-packet'
import { malformed, PacketReader } from './packet-reader.ts'
import { readProperties, type Properties } from './properties.ts'

/** Level of the protocol: 3 is 3.1, 4 is 3.1.1. */
export type ProtocolVersion = 3 | 4 | 5

export interface Will {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  readonly properties?: Properties
  /** Those that its PUBLISH will carry, as they came. */
  readonly propertyBytes: Buffer
}

/** A CONNECT packet whose version is one that this broker speaks. */
export interface ConnectPacket extends Pick<IConnectPacket, 'cmd' | 'clientId' | 'username' | 'password'> {
  readonly cmd: 'connect'
  readonly protocolVersion: ProtocolVersion
  readonly clean: boolean
  readonly keepalive: number
  readonly will?: Will
  readonly properties?: Properties
}

/** The protocol is MQTT, its level one that this broker does not speak [MQTT-3.1.2-2]. */
export class UnsupportedLevel extends Error {}

const connectByte = 0x10
const levels: Readonly<Record<string, readonly number[]>> = { MQIsdp: [3], MQTT: [4, 5] }

const flagsOf = {
  reserved: 0x01,
  clean: 0x02,
  will: 0x04,
  willRetain: 0x20,
  password: 0x40,
  username: 0x80,
} as const

/** Reads the first packet of a connection; throws a PacketFault when it is no CONNECT [MQTT-3.1.0-1]. */
export function parseConnect(frame: Buffer): ConnectPacket {
  const first = frame[0] ?? 0
  if ((first & 0xf0) !== connectByte) throw malformed('the first packet is not CONNECT')
  const reader = new PacketReader(frame)
  // [MQTT-3.1.2-1]
  const known = levels[reader.name()]
  if (known === undefined) throw malformed('not MQTT')
  const level = reader.byte()
  if (!known.includes(level)) throw new UnsupportedLevel()
  const protocolVersion = level as ProtocolVersion
  const flags = reader.byte()
  // 3.1 does not look at these bits.
  if (protocolVersion > 3 && (first !== connectByte || (flags & flagsOf.reserved) !== 0)) {
    // [MQTT-2.2.2-2] [MQTT-3.1.2-3]
    throw malformed('a reserved flag is set')
  }
  checkFlags(flags, protocolVersion)
  const has = (flag: number): boolean => (flags & flag) !== 0
  const keepalive = reader.uint16()
  const properties = protocolVersion === 5 ? readProperties(reader, 'connect').values : undefined
  const clientId = reader.name()
  const will = has(flagsOf.will) ? readWill(reader, flags, protocolVersion) : undefined
  const username = has(flagsOf.username) ? reader.name() : undefined
  const password = has(flagsOf.password) ? reader.binary() : undefined
  // [MQTT-3.1.3-1]
  reader.end()
  return {
    cmd: 'connect',
    protocolVersion,
    clean: has(flagsOf.clean),
    keepalive,
    clientId,
    ...(properties === undefined ? {} : { properties }),
    ...(will === undefined ? {} : { will }),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  }
}

/** [MQTT-3.1.2-11] to [MQTT-3.1.2-15], and 3.1.1's [MQTT-3.1.2-22]. */
function checkFlags(flags: number, version: ProtocolVersion): void {
  const willQos = (flags >> 3) & 3
  const hasWill = (flags & flagsOf.will) !== 0
  if (willQos === 3) throw malformed('a will of QoS 3')
  if (!hasWill && (willQos !== 0 || (flags & flagsOf.willRetain) !== 0)) {
    throw malformed('flags of a will that is not there')
  }
  const hasOnlyPassword = (flags & flagsOf.password) !== 0 && (flags & flagsOf.username) === 0
  if (version < 5 && hasOnlyPassword) throw malformed('a password without a username')
}

function readWill(reader: PacketReader, flags: number, version: ProtocolVersion): Will {
  const properties = version === 5 ? readProperties(reader, 'will') : undefined
  return {
    ...(properties === undefined ? {} : { properties: properties.values }),
    propertyBytes: properties?.bytes ?? Buffer.alloc(0),
    topic: reader.name(),
    payload: reader.binary(),
    qos: ((flags >> 3) & 3) as 0 | 1 | 2,
    retain: (flags & flagsOf.willRetain) !== 0,
  }
}
