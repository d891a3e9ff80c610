import { parseJson } from '#core/json.ts'
import { hasDuplicateMembers } from './duplicate-members.ts'
import { TokenRefused } from './token-refused.ts'

export type JsonObject = Readonly<Record<string, unknown>>

/** A JWS in compact serialization (RFC 7515 §7.1), taken apart but not verified. */
export interface CompactToken {
  readonly header: TokenHeader
  /** Not to be believed before the signature is verified. */
  readonly claims: JsonObject
}

export interface TokenHeader {
  readonly alg: string
  readonly kid: string | undefined
  /** In lower case and without `application/` (RFC 7515 §4.1.9). */
  readonly typ: string | undefined
  readonly all: JsonObject
}

const threeParts = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/
const fiveParts = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*){4}$/
const longestKeyId = 256

/** Headers that bring their own key or change what is signed. jose ignores most of them; here they are refused. */
const refusedHeaders = ['crit', 'jku', 'jwk', 'x5u', 'x5c', 'x5t', 'x5t#S256', 'b64', 'enc', 'zip'] as const

/**
 * Stricter than any library: one token has exactly one spelling (no padding, no white space, no
 * unused bits), so that nothing that compares or counts tokens by their text can be fooled.
 */
export function parseCompactToken(token: string): CompactToken {
  const parts = threeParts.exec(token)
  if (parts === null) {
    throw new TokenRefused(
      'unsupported_token_format',
      fiveParts.test(token)
        ? 'this is an encrypted token (JWE); send a signed one (JWS)'
        : 'this is no JWT: three parts of base64url, separated by dots',
    )
  }
  const [, header = '', claims = '', signature = ''] = parts
  if (![header, claims, signature].every(isCanonical)) {
    throw new TokenRefused('unsupported_token_format', 'the base64url of the token is not canonical')
  }
  return { header: readHeader(parseObject(header, 'header')), claims: parseObject(claims, 'payload') }
}

function readHeader(all: JsonObject): TokenHeader {
  const refused = refusedHeaders.find((name) => Object.hasOwn(all, name))
  if (refused !== undefined) {
    throw new TokenRefused('token_header_not_allowed', `the header must not have ${refused}`)
  }
  const { alg, kid, typ } = all
  if (typeof alg !== 'string') {
    throw new TokenRefused('token_header_not_allowed', 'the header has no alg')
  }
  if (kid !== undefined && (typeof kid !== 'string' || kid === '' || kid.length > longestKeyId)) {
    throw new TokenRefused('token_header_not_allowed', 'the kid of the header names no key')
  }
  if (typ !== undefined && typeof typ !== 'string') {
    throw new TokenRefused('token_header_not_allowed', 'typ is no text')
  }
  return { alg, kid, typ: typ?.toLowerCase().replace(/^application\//, ''), all }
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** RFC 4648 §3.5: bits that encode nothing are zero. Characters outside the alphabet have been refused. */
function isCanonical(part: string): boolean {
  const last = alphabet.indexOf(part.charAt(part.length - 1))
  switch (part.length % 4) {
    case 0:
      return true
    case 2:
      return (last & 0b1111) === 0
    case 3:
      return (last & 0b11) === 0
    default:
      return false
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function parseObject(part: string, name: string): JsonObject {
  const text = decode(part)
  const value = text === undefined ? undefined : parseJson(text)
  if (text === undefined || typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TokenRefused('unsupported_token_format', `the ${name} of the token is no JSON object`)
  }
  if (hasDuplicateMembers(text)) {
    throw new TokenRefused('unsupported_token_format', `the ${name} of the token says something twice`)
  }
  return value as JsonObject
}

function decode(part: string): string | undefined {
  try {
    return utf8.decode(Buffer.from(part, 'base64url'))
  } catch {
    return undefined
  }
}
