import mqttPacket, { type IConnectPacket, type IPublishPacket, type Packet } from 'mqtt-packet'
import { parsePublish, type Publish } from './publish.ts'

export type { IConnectPacket, ISubscribePacket, IUnsubscribePacket, Packet } from 'mqtt-packet'

/** Level of the protocol: 3 is 3.1, 4 is 3.1.1. */
export type ProtocolVersion = 3 | 4 | 5

/** A CONNECT packet whose version is one that this broker speaks. */
export type ConnectPacket = IConnectPacket & { readonly protocolVersion: ProtocolVersion }

/** A packet as handlers get it: PUBLISH is read by our own parser, everything else by mqtt-packet's. */
export type IncomingPacket = Exclude<Packet, IPublishPacket> | Publish

/** Reads complete packets of one connection, all but PUBLISH. */
export class PacketParser {
  readonly #parser: ReturnType<typeof mqttPacket.parser>
  #packet: Packet | undefined
  #failure: Error | undefined

  constructor(version: ProtocolVersion) {
    this.#parser = mqttPacket.parser({ protocolVersion: version })
    this.#parser.on('packet', (packet) => {
      this.#packet = packet
    })
    this.#parser.on('error', (error) => {
      this.#failure = error as Error
    })
  }

  /** Throws what is wrong with the packet; after that the connection is to be closed. */
  parse(frame: Buffer): Exclude<Packet, IPublishPacket> {
    this.#packet = undefined
    this.#parser.parse(frame)
    if (this.#failure !== undefined) throw this.#failure
    const packet = this.#packet as Packet | undefined
    if (packet === undefined || packet.cmd === 'publish') throw new Error('the packet ends too early')
    return packet
  }
}

/** Reads the first packet of a connection; throws when it is no CONNECT [MQTT-3.1.0-1]. */
export function parseConnect(frame: Buffer): ConnectPacket {
  const packet = new PacketParser(4).parse(frame)
  if (packet.cmd !== 'connect') throw new Error(`the first packet is ${packet.cmd}, not CONNECT`)
  return { ...packet, protocolVersion: packet.protocolVersion ?? 4 }
}

export function encodePacket(packet: Packet, version: ProtocolVersion): Buffer {
  return mqttPacket.generate(packet, { protocolVersion: version })
}

/**
 * [MQTT-1.5.4-1] [MQTT-1.5.4-2]: no NUL, and no ill-formed UTF-8, which the parser has turned into U+FFFD.
 */
export function isCleanText(text: string): boolean {
  return !/[\0\ufffd]/.test(text)
}

const withPacketId: ReadonlySet<Packet['cmd']> = new Set([
  'puback',
  'pubrec',
  'pubrel',
  'pubcomp',
  'subscribe',
  'unsubscribe',
])

/** [MQTT-2.2.1-3]: what needs a packet id has one that is not zero. True for all that need none. */
export function hasPacketId(packet: Packet | Publish): boolean {
  return !withPacketId.has(packet.cmd) || (packet.messageId ?? 0) > 0
}

/** Properties that mqtt-packet has read, such as those of a will, as the bytes that a PUBLISH carries. */
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
