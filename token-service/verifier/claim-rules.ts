import type { Attributes } from '#core/identity/attributes.ts'
import { asText, claimAt, claimOf, objectClaim, optionalText, textClaim, timeClaim } from './claims.ts'
import type { JsonObject } from './compact-token.ts'
import { TokenRefused } from './token-refused.ts'

/** How far an issuer's clock may be ahead of or behind ours. Clerk's tokens live 60 s: not more than this. */
export const clockTolerance = 5
/** The longest life that any of the providers gives a token (Auth0). */
const longestLife = 30 * 86_400
/** OpenID Connect Core §2: "It MUST NOT exceed 255 ASCII characters in length". */
const longestSubject = 255
const longestAttribute = 512

export interface TokenTimes {
  readonly issuedAt: number
  readonly expiresAt: number
}

/** `iss` is compared as text, character by character (OpenID Connect Core §3.1.3.7 rule 2). */
export function issuerOf(claims: JsonObject, issuers: readonly string[]): string {
  const issuer = textClaim(claims, 'iss')
  const configured = issuers.find((each) => each === issuer)
  if (configured === undefined) {
    throw new TokenRefused('issuer_mismatch', 'the token is of another issuer than the provider’s')
  }
  // The configured text, so that no text of a token ever becomes an address to be asked.
  return configured
}

/** Times in seconds. jose would accept a token without `exp`, one issued next year, and `exp: 1e300`. */
export function checkTimes(claims: JsonObject, now: number, leeway = clockTolerance): TokenTimes {
  const issuedAt = timeClaim(claims, 'iat')
  const expiresAt = timeClaim(claims, 'exp')
  // RFC 7519 §4.1.4: "on or after which the JWT MUST NOT be accepted".
  if (expiresAt + leeway <= now) throw new TokenRefused('token_expired', 'the token has expired')
  if (issuedAt - clockTolerance > now) {
    throw new TokenRefused('token_not_yet_valid', 'the token was issued in the future')
  }
  if (claimOf(claims, 'nbf') !== undefined && timeClaim(claims, 'nbf') - leeway > now) {
    throw new TokenRefused('token_not_yet_valid', 'the token is not valid yet (nbf)')
  }
  if (expiresAt <= issuedAt || expiresAt - issuedAt > longestLife + clockTolerance) {
    throw new TokenRefused('claim_mismatch', 'exp must lie after iat, 30 days at most')
  }
  return { issuedAt, expiresAt }
}

export function subjectOf(claims: JsonObject): string {
  const subject = textClaim(claims, 'sub')
  if (subject.length <= longestSubject) return subject
  throw new TokenRefused('claim_mismatch', `the claim sub must have ${longestSubject} characters at most`)
}

/** What names a party or a token is a text (RFC 7519 §4.1.7, RFC 8693 §4.3): a number equals no name it is compared with. */
export function checkNames(claims: JsonObject): void {
  for (const name of ['azp', 'client_id', 'jti']) {
    const value = claimOf(claims, name)
    if (value !== undefined && typeof value !== 'string') {
      throw new TokenRefused('claim_mismatch', `the claim ${name} must be a text`)
    }
  }
}

/** RFC 8693 §4.1: who acts as the subject now; those that `act` names within it are history. */
export function actorIn(claims: JsonObject, isAllowed: boolean): string | undefined {
  const act = claimOf(claims, 'act')
  if (act === undefined || act === null) return undefined
  if (!isAllowed) {
    throw new TokenRefused(
      'token_type_not_allowed',
      'somebody else acts as the user, which the provider forbids (allowImpersonation)',
    )
  }
  const actor = objectClaim(claims, 'act')
  const subject = actor === undefined ? undefined : optionalText(actor, 'sub')
  if (subject !== undefined && subject.length <= longestSubject) return subject
  throw new TokenRefused('claim_mismatch', 'the claim act must say in sub who acts')
}

/** RFC 7519 §4.1.3: one text, or a list of which one must be ours. */
export function checkAudience(claims: JsonObject, accepted: readonly string[]): void {
  const given = claimOf(claims, 'aud')
  const audiences: readonly unknown[] = Array.isArray(given) ? given : [given]
  if (!audiences.every((each) => typeof each === 'string')) {
    throw new TokenRefused('claim_mismatch', 'the claim aud must be a text or a list of texts')
  }
  if (!audiences.some((each) => accepted.includes(each))) {
    throw new TokenRefused('audience_mismatch', 'the token is for another audience than the provider’s')
  }
}

export interface BoundClaim {
  readonly claim: string
  readonly values: readonly string[]
}

export function checkBoundClaims(claims: JsonObject, bound: readonly BoundClaim[]): void {
  for (const { claim, values } of bound) {
    const value = claimAt(claims, claim)
    const found = (Array.isArray(value) ? value : [value]).map(asText)
    if (!found.some((each) => each !== undefined && values.includes(each))) {
      throw new TokenRefused('claim_mismatch', `the claim ${claim} has none of the values it is bound to`)
    }
  }
}

export interface AttributeMapping {
  readonly name: string
  readonly claim: string
}

/**
 * Claims that became identity variables. One that has no single value, or a longer one than a variable may
 * have, is left out: rules treat it as missing, which never allows anything.
 */
export function mapAttributes(claims: JsonObject, mappings: readonly AttributeMapping[]): Attributes {
  const attributes = Object.create(null) as Attributes
  for (const { name, claim } of mappings) {
    const value = asText(claimAt(claims, claim))
    if (value !== undefined && value.length <= longestAttribute) attributes[`claims.${name}`] = value
  }
  return attributes
}
