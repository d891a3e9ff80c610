import { type KeyObject, X509Certificate } from 'node:crypto'

/** As many certificates as an organization may bring. */
export const mostAuthorities = 16
const certificate = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g

export type ReadAuthorities = { readonly authorities: readonly string[] } | { readonly problem: string }

/** The authorities in a PEM text, one text each; or what is wrong with it, in words that follow its name. */
export function readAuthorities(pem: string): ReadAuthorities {
  if (pem.includes('PRIVATE KEY')) return { problem: 'holds a private key: put only certificates there' }
  const found = pem.match(certificate) ?? []
  if (found.length === 0) return { problem: 'holds no certificate in PEM' }
  if (found.length > mostAuthorities) return { problem: `holds more than ${mostAuthorities} certificates` }
  const authorities: string[] = []
  for (const [index, text] of found.entries()) {
    const problem = problemOf(text)
    if (problem !== undefined) return { problem: `holds, as certificate ${index + 1}, ${problem}` }
    authorities.push(text)
  }
  return { authorities: [...new Set(authorities)] }
}

function problemOf(pem: string): string | undefined {
  try {
    const authority = new X509Certificate(pem)
    if (!authority.ca) return 'one that is no authority (CA:TRUE is missing)'
    return isStrong(authority.publicKey)
      ? undefined
      : 'one whose key is too weak: RSA of 2048 bits or more, or ECDSA'
  } catch {
    return 'what can not be read as one'
  }
}

/** Enough for a signature to be believed. */
export function isStrong({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean {
  const { modulusLength = 0 } = asymmetricKeyDetails ?? {}
  if (asymmetricKeyType === 'rsa' || asymmetricKeyType === 'rsa-pss') return modulusLength >= 2_048
  return ['ec', 'ed25519', 'ed448'].includes(asymmetricKeyType ?? '')
}
