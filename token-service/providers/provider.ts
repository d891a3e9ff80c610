import type { ProviderSettings, ProviderType } from '#core/resources/identity-provider.ts'
import type { LiveCheck } from '../live-checks/live-check.ts'
import type { JsonObject, TokenHeader } from '../verifier/compact-token.ts'
import type { KeySource } from '../verifier/key-source.ts'

/**
 * A kind of identity provider: it turns its settings into the policy that its tokens are judged by. Everything
 * that holds for every token (spelling, header, signature, issuer, audience, times, bound claims) is the
 * verifier's and can not be forgotten here; a kind only adds what is its own.
 *
 * A new kind is its settings in core/resources/identity-provider.ts, one file here, and one line in index.ts.
 */
export interface ProviderKind<Type extends ProviderType> {
  readonly type: Type
  policy(settings: ProviderSettings[Type], options: ProviderOptions): TokenPolicy
  /** Only where the provider's spec asks for it. */
  readonly liveCheck: LiveCheck<Type>
}

/** What an organization allows beyond the provider's settings. */
export interface ProviderOptions {
  readonly allowAnonymous: boolean
  readonly allowMachine: boolean
}

export const signatureAlgorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const
export type SignatureAlgorithm = (typeof signatureAlgorithms)[number]

export interface TokenPolicy {
  /** `iss` must be exactly one of them. */
  readonly issuers: readonly string[]
  /** One of them must be in `aud`. Absent only where the provider's tokens have none. */
  readonly audiences?: readonly string[]
  /** The part of the issuer that the policy is for, where parts have users of their own. */
  readonly tenant?: string | undefined
  /**
   * By how many seconds `exp` and `nbf` may be missed; `clockTolerance` where absent. 0 where the provider's own
   * verifier forgives nothing: ours never accepts more.
   */
  readonly leeway?: number
  /** Asymmetric only: a public key can then never be taken for a shared secret. */
  readonly algorithms: readonly SignatureAlgorithm[]
  /** Tokens by HS256 are taken too. Their key is the provider's sealed secret `jwt`; public keys are not even looked for. */
  readonly sharedSecret?: boolean
  /** Accepted `typ` headers, in lower case. A token without one is a JWT (RFC 7519 §5.1). */
  readonly types: readonly string[]
  /** Where the keys of one of `issuers` are. */
  keys(issuer: string): KeySource
  /** The claims as bound claims and attributes see them, where the provider spells the same thing in several ways. */
  readonly spell?: (claims: JsonObject) => JsonObject
  /**
   * Judges what is special to the provider and names the identity. The signature and the common rules have
   * been checked. Throws TokenRefused.
   */
  identify(claims: JsonObject, context: TokenContext): ProviderIdentity
}

export interface TokenContext {
  readonly header: TokenHeader
  /** Seconds since the epoch. */
  readonly now: number
}

/** What the provider knows of the user beside `sub`. */
export interface ProviderIdentity {
  /** Only one that the provider vouches for. */
  readonly email?: string | undefined
  readonly sessionId?: string | undefined
  /** When they signed in, in seconds since the epoch; only where the live check needs it. */
  readonly authenticatedAt?: number | undefined
}
