import type { JsonObject } from './compact-token.ts'
import { TokenRefused } from './token-refused.ts'

/** Reading claims: by own property only, each of the type that it must have. */

export function claimOf(claims: JsonObject, name: string): unknown {
  return Object.hasOwn(claims, name) ? claims[name] : undefined
}

export function textClaim(claims: JsonObject, name: string): string {
  const value = claimOf(claims, name)
  if (typeof value === 'string' && value !== '') return value
  throw new TokenRefused('claim_mismatch', `the claim ${name} must be a text`)
}

export function optionalText(claims: JsonObject, name: string): string | undefined {
  const value = claimOf(claims, name)
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** A NumericDate (RFC 7519 §2) as whole seconds. `1e300` and `"123"` are none. */
export function timeClaim(claims: JsonObject, name: string): number {
  const value = claimOf(claims, name)
  if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return value
  throw new TokenRefused('claim_mismatch', `the claim ${name} must be a whole number of seconds`)
}

export function objectClaim(claims: JsonObject, name: string): JsonObject | undefined {
  const value = claimOf(claims, name)
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as JsonObject)
    : undefined
}

/**
 * The address, if the issuer vouches for it: whoever may choose an unverified one could take the topics of its
 * owner. An issuer that says nothing of `email_verified` vouches for nothing (OpenID Connect Core §5.1).
 */
export function verifiedEmail(claims: JsonObject): string | undefined {
  return claimOf(claims, 'email_verified') === true ? optionalText(claims, 'email') : undefined
}

/** The value at a JSON pointer (RFC 6901), through own properties only. */
export function claimAt(claims: JsonObject, pointer: string): unknown {
  const steps = pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
  let at: unknown = claims
  for (const step of steps) {
    if (typeof at !== 'object' || at === null) return undefined
    if (Array.isArray(at) && !/^(0|[1-9]\d{0,5})$/.test(step)) return undefined
    if (!Object.hasOwn(at, step)) return undefined
    at = (at as JsonObject)[step]
  }
  return at
}

/** A single value as text; undefined for everything that has no one way to be written. */
export function asText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value === 'boolean') return String(value)
  return typeof value === 'number' && Number.isFinite(value) ? String(value) : undefined
}
