import { Type, type Static } from 'typebox'
import { AccessPolicySchema } from '#core/access/access-policy.ts'
import { AttributesSchema } from '#core/identity/attributes.ts'
import type { Principal } from '#core/identity/principal.ts'
import { VerifierSchema } from './verifier.ts'

/** How a temporary credential came to be. */
export const credentialKinds = ['exchange', 'anonymous', 'agent', 'worker'] as const
export type CredentialKind = (typeof credentialKinds)[number]

/** A temporary credential as the broker reads it; its name is the local part of its username, `tmp_…`. */
export const CredentialRecordSchema = Type.Object({
  kind: Type.Enum(credentialKinds),
  principal: Type.Unsafe<Principal>(Type.String({ minLength: 1 })),
  /** Identity variables, without `username`, `org_id` and `client_id`, which the broker adds. */
  attributes: AttributesSchema,
  verifier: VerifierSchema,
  access: AccessPolicySchema,
  /** Name of the IdentityProvider whose token was exchanged. */
  provider: Type.Optional(Type.String()),
  /** Name of the ApiKey that asked for it. */
  apiKey: Type.Optional(Type.String()),
  /** The only client id it may connect with; any when absent. */
  clientId: Type.Optional(Type.String()),
  /** It connects only where its principal has fewer connections than that. */
  connections: Type.Optional(Type.Integer({ minimum: 1 })),
  /**
   * Who acts for the person in `attributes`, handed the task on, or acts as the person by their identity token: the latest
   * first (RFC 8693 §4.1).
   */
  actors: Type.Optional(Type.Array(Type.String())),
  /** Its own password does not prolong it: it is bound to the identity token. */
  isFinal: Type.Optional(Type.Boolean()),
})
export type CredentialRecord = Static<typeof CredentialRecordSchema>

/** A credential with its times, in ms since the epoch by the store's clock. It is gone at `expiresAt`. */
export interface IssuedCredential extends CredentialRecord {
  readonly issuedAt: number
  readonly expiresAt: number
}
