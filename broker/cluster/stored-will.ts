import { type Static, Type } from 'typebox'
import { AccessPolicySchema } from '#core/access/access-policy.ts'
import { AttributesSchema } from '#core/identity/attributes.ts'
import { recordCodec } from '#core/stores/record-codec.ts'
import type { Message } from '../aedes/messages.ts'

const StandingSchema = Type.Object({ policy: AccessPolicySchema, attributes: AttributesSchema })

/** Whose will it is: what its right to publish is judged by, then and now. */
export interface WillAuthor {
  readonly source: { readonly type: 'user' | 'credential'; readonly name: string }
  readonly uid: string
  readonly clientId: string
  /** Of a temporary credential: a will may be due when that has ended, and is judged by the lists of then. */
  readonly standing?: Standing
}

export type Standing = Static<typeof StandingSchema>

export interface StoredWill {
  readonly message: Message
  readonly author: WillAuthor
  /** Seconds from the end of the connection to the will. */
  readonly delaySeconds: number
}

const WillSchema = Type.Object({
  topic: Type.String(),
  payload: Type.String(),
  qos: Type.Union([Type.Literal(0), Type.Literal(1), Type.Literal(2)]),
  retain: Type.Boolean(),
  properties: Type.Optional(Type.String()),
  source: Type.Object({
    type: Type.Union([Type.Literal('user'), Type.Literal('credential')]),
    name: Type.String(),
  }),
  uid: Type.String(),
  clientId: Type.String(),
  standing: Type.Optional(StandingSchema),
  delaySeconds: Type.Number(),
})

const codec = recordCodec('will', WillSchema)

export function encodeWill({ message, author, delaySeconds }: StoredWill): string {
  const { topic, payload, qos, retain, properties } = message
  const record: Static<typeof WillSchema> = {
    topic,
    payload: payload.toString('base64'),
    qos,
    retain,
    ...(properties === undefined ? {} : { properties: properties.toString('base64') }),
    ...author,
    delaySeconds,
  }
  return codec.encode(record)
}

/** Rejects with `record-damaged`. */
export function decodeWill(text: string): StoredWill {
  const { topic, payload, qos, retain, properties, delaySeconds, ...author } = codec.decode(text)
  const message = {
    topic,
    payload: Buffer.from(payload, 'base64'),
    qos,
    retain,
    ...(properties === undefined ? {} : { properties: Buffer.from(properties, 'base64') }),
  }
  return { message, author, delaySeconds }
}
