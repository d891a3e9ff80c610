import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import { type SignatureAlgorithm, signatureAlgorithms } from '../providers/provider.ts'
import type { JsonObject } from './compact-token.ts'

/** The usable public keys of a JWKS (RFC 7517), by key id. */
export interface JwkSet {
  find(kid: string, algorithm: SignatureAlgorithm): KeyObject | undefined
}

interface VerificationKey {
  readonly kid: string
  readonly algorithms: readonly SignatureAlgorithm[]
  readonly key: KeyObject
}

const mostKeys = 50
const publicMembers = ['kty', 'n', 'e', 'crv', 'x', 'y'] as const

/** Throws when it is no JWKS. A key that can not be used is left out; the others stay. */
export function parseJwkSet(text: string): JwkSet {
  const document: unknown = JSON.parse(text)
  const list: unknown =
    typeof document === 'object' && document !== null && Object.hasOwn(document, 'keys')
      ? (document as JsonObject)['keys']
      : undefined
  if (!Array.isArray(list)) throw new Error('the key set has no list of keys')
  if (list.length > mostKeys) throw new Error(`the key set has more than ${mostKeys} keys`)
  return keySetOf(list.map(readKey).filter((key) => key !== undefined))
}

/** The keys of X.509 certificates by key id, as Google publishes them. Throws when it is no such list. */
export function parseCertificates(text: string): JwkSet {
  const document: unknown = JSON.parse(text)
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    throw new Error('the list of certificates is no object')
  }
  const list = Object.entries(document)
  if (list.length > mostKeys) throw new Error(`there are more than ${mostKeys} certificates`)
  return keySetOf(list.map(readCertificate).filter((key) => key !== undefined))
}

/** The algorithms that a key of its sort and strength may be used with. */
export function algorithmsOf(key: KeyObject): readonly SignatureAlgorithm[] {
  return isStrong(key) ? signatureAlgorithms.filter((each) => isFor(key, each)) : []
}

function keySetOf(list: readonly VerificationKey[]): JwkSet {
  const keys = Map.groupBy(list, ({ kid }) => kid)
  return {
    find(kid, algorithm) {
      // RFC 7517 §4.5: two keys of different types may share a kid.
      return keys.get(kid)?.find(({ algorithms }) => algorithms.includes(algorithm))?.key
    },
  }
}

function readKey(jwk: unknown): VerificationKey | undefined {
  if (typeof jwk !== 'object' || jwk === null) return undefined
  const { kid, use, key_ops: operations, alg } = jwk as JsonObject
  if (typeof kid !== 'string' || kid === '') return undefined
  if (use !== undefined && use !== 'sig') return undefined
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify')))
    return undefined
  const key = importKey(jwk as JsonObject)
  if (key === undefined) return undefined
  return { kid, algorithms: algorithmsOf(key).filter((each) => (alg ?? each) === each), key }
}

function readCertificate([kid, pem]: readonly [string, unknown]): VerificationKey | undefined {
  if (kid === '' || typeof pem !== 'string') return undefined
  try {
    const key = new X509Certificate(pem).publicKey
    return { kid, algorithms: algorithmsOf(key), key }
  } catch {
    return undefined
  }
}

function importKey(jwk: JsonObject): KeyObject | undefined {
  // Without `d`, `k` and the like: a private or shared key that an issuer published by mistake stays unread.
  const members = publicMembers.filter((name) => typeof jwk[name] === 'string')
  try {
    return createPublicKey({
      format: 'jwk',
      key: Object.fromEntries(members.map((name) => [name, jwk[name] as string])),
    })
  } catch {
    return undefined
  }
}

/** jose accepts an RSA key with e=1, whose signatures anybody can make. */
function isStrong({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean {
  if (asymmetricKeyType !== 'rsa') return true
  const bits = asymmetricKeyDetails?.modulusLength ?? 0
  return asymmetricKeyDetails?.publicExponent === 65_537n && bits >= 2048 && bits <= 8192
}

const curves: Readonly<Record<string, string>> = {
  ES256: 'prime256v1',
  ES384: 'secp384r1',
  ES512: 'secp521r1',
}

function isFor(
  { asymmetricKeyType, asymmetricKeyDetails }: KeyObject,
  algorithm: SignatureAlgorithm,
): boolean {
  const curve = curves[algorithm]
  if (curve !== undefined) return asymmetricKeyType === 'ec' && asymmetricKeyDetails?.namedCurve === curve
  return asymmetricKeyType === (algorithm === 'EdDSA' ? 'ed25519' : 'rsa')
}
