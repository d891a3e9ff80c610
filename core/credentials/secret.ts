import { hash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { randomSecretBytes } from './random.ts'

/**
 * What a generated secret is for: `mp` an MQTT password, `sk` a secret API key, `pk` a publishable API key.
 * For secret scanners: `cs_(mp|sk|pk)_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}`.
 */
export type SecretKind = 'mp' | 'sk' | 'pk'

const wellFormed = /^cs_(mp|sk|pk)_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}$/
const base62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const checksumLength = 6

/** 256 random bits in base64url, and a checksum that tells a typing error or a guess before any lookup. */
export function generateSecret(kind: SecretKind): string {
  return secretOf(kind, randomSecretBytes(32))
}

/** A secret made of 32 bytes that nobody else can know. */
export function secretOf(kind: SecretKind, bytes: Buffer): string {
  const body = `cs_${kind}_${bytes.toString('base64url')}`
  return body + checksum(body)
}

/** The kind of a secret of ours; undefined when the shape or the checksum is wrong. */
export function secretKindOf(text: string): SecretKind | undefined {
  const kind = wellFormed.exec(text)?.[1]
  if (kind === undefined) return undefined
  const body = text.slice(0, -checksumLength)
  return text.endsWith(checksum(body)) ? (kind as SecretKind) : undefined
}

function checksum(body: string): string {
  let rest = crc32(body)
  let text = ''
  for (let index = 0; index < checksumLength; index++) {
    text = base62[rest % 62] + text
    rest = Math.floor(rest / 62)
  }
  return text
}

/** How an API key is found by its secret: a digest of 256 random bits tells nothing of them. */
export function apiKeyLookup(secret: string): string {
  return hash('sha256', `api-key-lookup\0${secret}`, 'base64url')
}
