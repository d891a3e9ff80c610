import { Type, type Static } from 'typebox'
import { apiKeyScopes, apiKeyTypes } from '#core/resources/api-key.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { type VerifierBinding, VerifierSchema } from './verifier.ts'

/** An API key as the token service reads it; the record's name is the ApiKey's `metadata.name`. */
export const ApiKeyRecordSchema = Type.Object({
  uid: Type.String(),
  type: Type.Enum(apiKeyTypes),
  scopes: Type.Array(Type.Enum(apiKeyScopes)),
  /** `apiKeyLookup` of the secret: how the record is found. */
  lookup: Type.String(),
  verifier: VerifierSchema,
  /** Lists that bound everything the key issues; absent: no bound. */
  ceiling: Type.Optional(Type.Array(Type.String())),
  /** What a token request may set: `email`, `session_id`, `user_id`, and names of `claims.*`. */
  attributes: Type.Array(Type.String()),
  agentIdPattern: Type.Optional(Type.String()),
  origins: Type.Array(Type.String()),
  perMinute: Type.Optional(Type.Integer({ minimum: 1 })),
})
export type ApiKeyRecord = Static<typeof ApiKeyRecordSchema>

/** What the verifier of an API key is bound to. */
export function apiKeyBinding(organization: OrganizationId, name: string): VerifierBinding {
  return { kind: 'api-key', name: `${name}@${organization}` }
}
