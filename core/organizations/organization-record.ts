import { Type, type Static } from 'typebox'

const seconds = Type.Integer({ minimum: 1 })
const optionalCount = Type.Optional(Type.Integer({ minimum: 0 }))

/** An organization as the data plane reads it. Without this record nobody of it gets in. */
export const OrganizationRecordSchema = Type.Object({
  /** `<namespace>/<name>` of the resource, for people. */
  source: Type.String(),
  displayName: Type.Optional(Type.String()),
  suspended: Type.Boolean(),
  defaultLists: Type.Array(Type.String()),
  /** Lives of temporary credentials, in seconds. */
  credentials: Type.Object({ defaultTtl: seconds, maxTtl: seconds, maxLifetime: seconds }),
  exchange: Type.Object({
    anonymous: Type.Boolean(),
    public: Type.Optional(Type.Object({ origins: Type.Array(Type.String()), perMinute: optionalCount })),
  }),
  /** Longest time an MQTT session waits for its client, in seconds. */
  sessionMaxExpiry: seconds,
  limits: Type.Object({
    users: optionalCount,
    connections: optionalCount,
    connectionsPerUser: optionalCount,
    messageRate: optionalCount,
    byteRate: optionalCount,
    retained: optionalCount,
    queued: optionalCount,
  }),
  willOnExpiry: Type.Enum(['publish', 'discard']),
  durability: Type.Enum(['stored', 'replicated']),
  /** PEM, one each: certificates that these have issued identify users of the organization. */
  clientAuthorities: Type.Optional(Type.Array(Type.String())),
  /** Sessions and retained messages outlive the organization. */
  retain: Type.Optional(Type.Literal(true)),
  /** Absent: any origin. */
  webSocketOrigins: Type.Optional(Type.Array(Type.String())),
})
export type OrganizationRecord = Static<typeof OrganizationRecordSchema>
