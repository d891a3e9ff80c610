import { constants, type KeyObject, verify } from 'node:crypto'
import type { SignatureAlgorithm } from '../providers/provider.ts'

interface Scheme {
  /** EdDSA has its own. */
  readonly digest: string | null
  readonly options: {
    readonly dsaEncoding?: 'ieee-p1363'
    readonly padding?: number
    readonly saltLength?: number
  }
}

const rsa = (digest: string): Scheme => ({ digest, options: { padding: constants.RSA_PKCS1_PADDING } })
/** RFC 7518 §3.5: "The size of the salt value is the same size as the hash function output." */
const pss = (digest: string, saltLength: number): Scheme => ({
  digest,
  options: { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength },
})
/** RFC 7518 §3.4: R and S as they are, each as long as the curve's order; not DER. */
const ecdsa = (digest: string): Scheme => ({ digest, options: { dsaEncoding: 'ieee-p1363' } })

const schemes: { readonly [Algorithm in SignatureAlgorithm]: Scheme } = {
  RS256: rsa('sha256'),
  RS384: rsa('sha384'),
  RS512: rsa('sha512'),
  PS256: pss('sha256', 32),
  PS384: pss('sha384', 48),
  PS512: pss('sha512', 64),
  ES256: ecdsa('sha256'),
  ES384: ecdsa('sha384'),
  ES512: ecdsa('sha512'),
  EdDSA: { digest: null, options: {} },
}

const lengths = new WeakMap<KeyObject, number | undefined>()

/** Bytes of an RSA key's signatures; those of other keys are checked by what verifies them. */
function signatureLength(key: KeyObject): number | undefined {
  if (!lengths.has(key)) {
    const bits = key.asymmetricKeyDetails?.modulusLength
    lengths.set(key, bits === undefined ? undefined : Math.ceil(bits / 8))
  }
  return lengths.get(key)
}

/**
 * Whether a compact JWS (RFC 7515 §5.2) was signed with the key's other half. The token's spelling has been checked, and
 * that the key is of the algorithm and strong.
 */
export function isSignedBy(token: string, key: KeyObject, algorithm: SignatureAlgorithm): boolean {
  const { digest, options } = schemes[algorithm]
  const dot = token.lastIndexOf('.')
  const signature = Buffer.from(token.slice(dot + 1), 'base64url')
  // RFC 8017 §8.1.2 and §8.2.2, step 1. OpenSSL takes a shorter one of PSS, which is another spelling of the same.
  const length = signatureLength(key)
  if (length !== undefined && signature.length !== length) return false
  return verify(digest, Buffer.from(token.slice(0, dot), 'latin1'), { key, ...options }, signature)
}
