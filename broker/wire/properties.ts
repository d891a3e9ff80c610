import { malformed, type PacketReader, protocolError } from './packet-reader.ts'

/** What a client may send, as far as the broker looks at it (MQTT 5 §2.2.2.2). */
export interface Properties {
  readonly sessionExpiryInterval?: number
  readonly receiveMaximum?: number
  readonly maximumPacketSize?: number
  readonly topicAliasMaximum?: number
  readonly requestResponseInformation?: boolean
  readonly requestProblemInformation?: boolean
  readonly authenticationMethod?: string
  readonly willDelayInterval?: number
  readonly subscriptionIdentifier?: number
}

export type PropertyOwner =
  | 'connect'
  | 'will'
  | 'subscribe'
  | 'unsubscribe'
  | 'acknowledgement'
  | 'disconnect'

interface Property {
  readonly owners: readonly PropertyOwner[]
  readonly read: (reader: PacketReader) => unknown
  /** Set where the broker looks at the value. */
  readonly name?: keyof Properties
}

const willDelay = 0x18
const userProperty = 0x26

/** By identifier. What is not here is PUBLISH's alone, or sent by servers only. */
const properties: Readonly<Record<number, Property>> = {
  0x01: { owners: ['will'], read: flag },
  0x02: { owners: ['will'], read: (reader) => reader.uint32() },
  0x03: { owners: ['will'], read: (reader) => reader.text() },
  0x08: { owners: ['will'], read: topicName },
  0x09: { owners: ['will'], read: (reader) => reader.binary() },
  0x0b: { owners: ['subscribe'], read: identifier, name: 'subscriptionIdentifier' },
  0x11: {
    owners: ['connect', 'disconnect'],
    read: (reader) => reader.uint32(),
    name: 'sessionExpiryInterval',
  },
  0x15: { owners: ['connect'], read: (reader) => reader.text(), name: 'authenticationMethod' },
  0x16: { owners: ['connect'], read: (reader) => reader.binary() },
  0x17: { owners: ['connect'], read: flag, name: 'requestProblemInformation' },
  [willDelay]: { owners: ['will'], read: (reader) => reader.uint32(), name: 'willDelayInterval' },
  0x19: { owners: ['connect'], read: flag, name: 'requestResponseInformation' },
  0x1f: { owners: ['acknowledgement', 'disconnect'], read: (reader) => reader.text() },
  0x21: { owners: ['connect'], read: (reader) => notZero(reader.uint16()), name: 'receiveMaximum' },
  0x22: { owners: ['connect'], read: (reader) => reader.uint16(), name: 'topicAliasMaximum' },
  [userProperty]: {
    owners: ['connect', 'will', 'subscribe', 'unsubscribe', 'acknowledgement', 'disconnect'],
    read: (reader) => [reader.text(), reader.text()],
  },
  0x27: { owners: ['connect'], read: (reader) => notZero(reader.uint32()), name: 'maximumPacketSize' },
}

/** What was read, and of a will the bytes of all that its PUBLISH will carry. */
export interface ReadProperties {
  readonly values: Properties
  readonly bytes: Buffer
}

export function readProperties(reader: PacketReader, owner: PropertyOwner): ReadProperties {
  return reader.within(reader.variableInteger(), () => {
    const values: Record<string, unknown> = {}
    const kept: Buffer[] = []
    const seen = new Set<number>()
    while (!reader.isAtEnd) {
      const start = reader.position
      const id = reader.variableInteger()
      const property = properties[id]
      // MQTT 5 §2.2.2.2
      if (property === undefined || !property.owners.includes(owner)) {
        throw malformed(`property ${id} does not belong here`)
      }
      if (seen.has(id) && id !== userProperty) throw protocolError(`property ${id} stands twice`)
      seen.add(id)
      const value = property.read(reader)
      if (property.name !== undefined) values[property.name] = value
      if (id !== willDelay) kept.push(reader.since(start))
    }
    return { values, bytes: owner === 'will' ? Buffer.concat(kept) : noBytes }
  })
}

const noBytes = Buffer.alloc(0)

function flag(reader: PacketReader): boolean {
  const value = reader.byte()
  if (value > 1) throw protocolError('a flag that is neither 0 nor 1')
  return value === 1
}

function notZero(value: number): number {
  if (value === 0) throw protocolError('a number that must not be 0')
  return value
}

function identifier(reader: PacketReader): number {
  return notZero(reader.variableInteger())
}

/** [MQTT-3.3.2-14] */
function topicName(reader: PacketReader): string {
  const topic = reader.name()
  if (/[+#]/.test(topic)) throw protocolError('a response topic with a wildcard')
  return topic
}
