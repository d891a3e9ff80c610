import fc from 'fast-check'
import type { Packet } from 'mqtt-packet'
import { encode } from '../../fixtures/raw-client.ts'

/** What one hostile connection sends: as these writes, behind a good CONNECT or instead of it. */
export interface Attempt {
  readonly version: 4 | 5
  readonly isConnected: boolean
  readonly writes: readonly Buffer[]
}

const topic = fc.constantFrom(
  'fuzz/a',
  'fuzz/b/c',
  'other',
  '$x',
  '',
  '+',
  'fuzz/#',
  '$share/g/fuzz/#',
  'é/\u0000',
)
const text = fc.constantFrom('', 'x', 'x'.repeat(200), '\u0000', '\ufeff', 'ä€😀')
const qos = fc.constantFrom(0, 1, 2)
const messageId = fc.constantFrom(0, 1, 2, 3, 65_535)
const properties = fc.record(
  {
    topicAlias: fc.constantFrom(0, 1, 10, 11, 65_535),
    subscriptionIdentifier: fc.constantFrom(1, 268_435_455),
    messageExpiryInterval: fc.constantFrom(0, 1, 4_294_967_295),
    responseTopic: text,
    contentType: text,
    reasonString: text,
    userProperties: fc.dictionary(text, text, { maxKeys: 3 }),
    sessionExpiryInterval: fc.constantFrom(0, 1, 4_294_967_295),
    receiveMaximum: fc.constantFrom(0, 1, 65_535),
  },
  { requiredKeys: [] },
)

const packet = fc.oneof(
  fc.record({
    cmd: fc.constant('publish' as const),
    topic,
    payload: text,
    qos,
    messageId,
    dup: fc.boolean(),
    retain: fc.boolean(),
    properties,
  }),
  fc.record({
    cmd: fc.constant('subscribe' as const),
    messageId,
    subscriptions: fc.array(fc.record({ topic, qos, nl: fc.boolean(), rap: fc.boolean(), rh: qos }), {
      maxLength: 4,
    }),
    properties,
  }),
  fc.record({
    cmd: fc.constant('unsubscribe' as const),
    messageId,
    unsubscriptions: fc.array(topic, { maxLength: 3 }),
  }),
  fc.record({
    cmd: fc.constantFrom('puback' as const, 'pubrec' as const, 'pubrel' as const, 'pubcomp' as const),
    messageId,
    reasonCode: fc.constantFrom(0, 0x10, 0x80, 0x92, 0xff),
  }),
  fc.record({ cmd: fc.constantFrom('pingreq' as const, 'disconnect' as const, 'auth' as const) }),
)

/** mqtt-packet refuses to write most of what is wrong, so the wrong is made of bytes. */
function frameOf(given: unknown, version: 4 | 5): Buffer {
  try {
    return encode(given as Packet, version)
  } catch {
    return Buffer.from('c000', 'hex')
  }
}

const mutation = fc.oneof(
  { weight: 3, arbitrary: fc.constant((bytes: Buffer) => bytes) },
  {
    weight: 4,
    arbitrary: fc.tuple(fc.nat(), fc.nat(255)).map(([at, value]) => (bytes: Buffer) => {
      const changed = Buffer.from(bytes)
      if (changed.length > 0) changed[at % changed.length] = value
      return changed
    }),
  },
  {
    weight: 2,
    arbitrary: fc.nat().map((at) => (bytes: Buffer) => bytes.subarray(0, at % (bytes.length + 1))),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.nat(), fc.uint8Array({ maxLength: 8 })).map(([at, more]) => (bytes: Buffer) => {
      const cut = at % (bytes.length + 1)
      return Buffer.concat([bytes.subarray(0, cut), more, bytes.subarray(cut)])
    }),
  },
  {
    weight: 1,
    // Another length than it has.
    arbitrary: fc.uint8Array({ minLength: 1, maxLength: 4 }).map((length) => (bytes: Buffer) => {
      return Buffer.concat([bytes.subarray(0, 1), length, bytes.subarray(2)])
    }),
  },
)

export const attempts: fc.Arbitrary<Attempt> = fc
  .record({
    version: fc.constantFrom(4 as const, 5 as const),
    isConnected: fc.constantFrom(true, true, true, false),
    packets: fc.array(fc.tuple(packet, mutation), { minLength: 1, maxLength: 6 }),
    cuts: fc.array(fc.nat(), { maxLength: 3 }),
  })
  .map(({ version, isConnected, packets, cuts }) => {
    const bytes = Buffer.concat(packets.map(([each, mutate]) => mutate(frameOf(each, version))))
    const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b)
    const writes = ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end))
    return { version, isConnected, writes }
  })

/** A CONNECT with something wrong in it. */
export const badConnects = (connect: (version: 4 | 5) => Buffer): fc.Arbitrary<Attempt> =>
  fc
    .tuple(fc.constantFrom(3 as const, 4 as const, 5 as const), mutation, mutation)
    .map(([level, first, second]) => {
      const version = level === 5 ? 5 : 4
      return { version, isConnected: false, writes: [second(first(connect(version)))] }
    })
