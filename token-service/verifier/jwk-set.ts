import { createPublicKey, type KeyObject } from 'node:crypto'
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
  const keys = Map.groupBy(
    list.map(readKey).filter((key) => key !== undefined),
    ({ kid }) => kid,
  )
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
  if (key === undefined || !isStrong(key)) return undefined
  const fitting = signatureAlgorithms.filter((each) => (alg ?? each) === each && isFor(key, each))
  return { kid, algorithms: fitting, key }
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
