import { Type, type Static } from 'typebox'
import { providerTypes } from '#core/resources/identity-provider.ts'

/** An identity provider as the token service reads it; the record's name is its `metadata.name`. */
export const ProviderRecordSchema = Type.Object({
  uid: Type.String(),
  type: Type.Enum(providerTypes),
  /** The block of the resource that `type` names; each provider file reads its own. */
  settings: Type.Record(Type.String(), Type.Unknown()),
  boundClaims: Type.Array(Type.Object({ claim: Type.String(), values: Type.Array(Type.String()) })),
  /** Identity variables `claims.<name>` by JSON pointer (RFC 6901). */
  attributes: Type.Array(Type.Object({ name: Type.String(), claim: Type.String() })),
  allowAnonymous: Type.Boolean(),
  allowMachine: Type.Boolean(),
  /** Tokens that say that somebody else acts as the user; allowed where absent. */
  allowImpersonation: Type.Optional(Type.Boolean()),
  bindToTokenExpiry: Type.Boolean(),
  /** The provider is asked at each exchange whether the user may still sign in. */
  liveCheck: Type.Optional(Type.Boolean()),
  /** By `ProviderSecretName`, each sealed for that name, this provider and its organization; absent without any. */
  secrets: Type.Optional(Type.Record(Type.String(), Type.String())),
  lists: Type.Array(Type.String()),
  /**
   * Nobody may exchange anything: by the spec, or because a secret or a key is missing or no good. What was issued ends
   * with the former, and lives on with the latter.
   */
  closed: Type.Optional(Type.Enum(['suspended', 'unusable'])),
  /** Life of a credential in seconds; the organization's when absent. */
  ttl: Type.Optional(Type.Integer({ minimum: 1 })),
})
export type ProviderRecord = Static<typeof ProviderRecordSchema>
