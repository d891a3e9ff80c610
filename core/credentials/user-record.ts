import { Type, type Static } from 'typebox'
import { AccessPolicySchema } from '#core/access/access-policy.ts'
import { VerifierSchema } from './verifier.ts'

/** A permanent MQTT user as the broker reads it; the record's name is the local part of its username. */
export const UserRecordSchema = Type.Object({
  /** Of the resource: another uid is another user. */
  uid: Type.String(),
  suspended: Type.Boolean(),
  /** True: it outlives its resource, until a new resource of the name takes it over or the organization goes. */
  retain: Type.Optional(Type.Boolean()),
  /** Any of them lets the user in; one with `notAfter` (ms since the epoch) only until then. */
  verifiers: Type.Array(Type.Object({ verifier: VerifierSchema, notAfter: Type.Optional(Type.Integer()) })),
  access: AccessPolicySchema,
  limits: Type.Object({
    connections: Type.Optional(Type.Integer({ minimum: 0 })),
    messageRate: Type.Optional(Type.Integer({ minimum: 0 })),
    byteRate: Type.Optional(Type.Integer({ minimum: 0 })),
  }),
})
export type UserRecord = Static<typeof UserRecordSchema>
