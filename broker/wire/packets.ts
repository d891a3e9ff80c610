import mqttPacket, { type IPublishPacket, type Packet } from 'mqtt-packet'
import type { ConnectPacket, ProtocolVersion } from './parse-connect.ts'
import { type ClientPacket, parsePacket } from './parse-packet.ts'
import { parsePublish, type Publish } from './publish.ts'

export type { Packet } from 'mqtt-packet'
export { type ConnectPacket, parseConnect, type ProtocolVersion, UnsupportedLevel } from './parse-connect.ts'

/** A packet as handlers get it. What arrives is read by our own parsers: they are strict about every byte. */
export type IncomingPacket = ConnectPacket | ClientPacket | Publish

/** Reads complete packets of one connection, all but PUBLISH. */
export class PacketParser {
  readonly #version: ProtocolVersion

  constructor(version: ProtocolVersion) {
    this.#version = version
  }

  /** Throws a PacketFault; after that the connection is to be closed. */
  parse(frame: Buffer): ClientPacket {
    return parsePacket(frame, this.#version)
  }
}

/** The short form where there is one: no properties, and no length of them (MQTT 5 §3.4.2.2.1, §3.14.2.2.1). */
export function encodePacket(packet: Packet, version: ProtocolVersion): Buffer {
  if (version === 5 && packet.cmd === 'disconnect' && packet.properties === undefined) {
    return Buffer.from([0xe0, 1, packet.reasonCode ?? 0])
  }
  if (version < 5 && packet.cmd === 'connack') {
    return Buffer.from([0x20, 2, packet.sessionPresent === true ? 1 : 0, packet.returnCode ?? 0])
  }
  const bytes = mqttPacket.generate(packet, { protocolVersion: version })
  if (version < 5 || !acknowledgements.has(packet.cmd) || bytes[1] !== 4) return bytes
  const short = bytes.subarray(0, bytes[4] === 0 ? 4 : 5)
  short[1] = short.length - 2
  return short
}

const acknowledgements: ReadonlySet<Packet['cmd']> = new Set(['puback', 'pubrec', 'pubrel', 'pubcomp'])

/** [MQTT-2.2.1-3]: what needs a packet id has one that is not zero. True for all that need none. */
export function hasPacketId(packet: IncomingPacket): boolean {
  return !acknowledgements.has(packet.cmd) || ('messageId' in packet && (packet.messageId ?? 0) > 0)
}

/** Properties as an object, as the bytes that a PUBLISH carries. */
export function propertyBytes(properties: IPublishPacket['properties']): Buffer | undefined {
  if (properties === undefined || Object.keys(properties).length === 0) return undefined
  const packet = {
    cmd: 'publish',
    topic: 'x',
    payload: '',
    qos: 0,
    dup: false,
    retain: false,
    properties,
  } as const
  return parsePublish(encodePacket(packet, 5), 5).properties?.bytes
}
