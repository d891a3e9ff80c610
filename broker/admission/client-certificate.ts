import { X509Certificate } from 'node:crypto'
import { isTemporary, parseUsername, type Username } from '#core/credentials/username.ts'
import { isStrong } from '#core/organizations/client-authorities.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'

/** Why a certificate proves nothing. */
export type CertificateFault =
  | 'the certificate is for another user'
  | 'the organization has no authority that issued it'
  | 'the certificate is an authority itself'
  | 'the certificate is not for clients'
  | 'the certificate is signed by an algorithm that is too weak'
  | 'the certificate is not valid at this time'

const clientPurposes = ['1.3.6.1.5.5.7.3.2', '2.5.29.37.0']
const weakAlgorithm = /md[245]|sha-?1(?!\d)/i

/** PEM to what was read from it. */
const read = new Map<string, X509Certificate>()
const mostRead = 10_000

/** That of the authorities that has issued the certificate itself: those between have to be there too. */
export function issuerOf(
  certificate: X509Certificate,
  authorities: readonly string[],
): X509Certificate | undefined {
  return authorities
    .map(authorityOf)
    .find(
      (authority) =>
        authority?.ca === true &&
        certificate.checkIssued(authority) &&
        isStrong(authority.publicKey) &&
        certificate.verify(authority.publicKey),
    )
}

/** Until when it proves that who shows it is this user, in ms since the epoch; or why it does not. */
export function proofOf(
  certificate: X509Certificate,
  name: Username,
  authorities: readonly string[],
  now: number,
): { readonly notAfter: number } | { readonly fault: CertificateFault } {
  const named = nameIn(subjectOf(certificate), name.organization)
  if (named?.local !== name.local) return { fault: 'the certificate is for another user' }
  if (certificate.ca) return { fault: 'the certificate is an authority itself' }
  const issuer = issuerOf(certificate, authorities)
  if (issuer === undefined) return { fault: 'the organization has no authority that issued it' }
  const { keyUsage } = certificate
  // Of the extension that says what for; where it is not there, for everything.
  if (keyUsage !== undefined && !keyUsage.some((purpose) => clientPurposes.includes(purpose))) {
    return { fault: 'the certificate is not for clients' }
  }
  const { signatureAlgorithm } = certificate
  if (signatureAlgorithm === undefined || weakAlgorithm.test(signatureAlgorithm)) {
    return { fault: 'the certificate is signed by an algorithm that is too weak' }
  }
  const both = [certificate, issuer]
  const from = Math.max(...both.map((one) => one.validFromDate.getTime()))
  const notAfter = Math.min(...both.map((one) => one.validToDate.getTime()))
  return now >= from && now < notAfter ? { notAfter } : { fault: 'the certificate is not valid at this time' }
}

/** Whom the certificate is for, in its own words: `name` or `name@org_…`. */
export function subjectOf(certificate: X509Certificate): string | undefined {
  return commonName(certificate) ?? onlyDnsName(certificate)
}

/** The permanent user of this organization that is meant by these words. */
export function nameIn(subject: string | undefined, organization: OrganizationId): Username | undefined {
  if (subject === undefined) return undefined
  const name = parseUsername(subject.includes('@') ? subject : `${subject}@${organization}`)
  return name?.organization === organization && !isTemporary(name.local) ? name : undefined
}

/** '' where there are several: nobody knows which counts. */
function commonName(certificate: X509Certificate): string | undefined {
  const { CN } = (certificate.toLegacyObject().subject ?? {}) as { CN?: string | string[] }
  return Array.isArray(CN) ? '' : CN
}

function onlyDnsName({ subjectAltName = '' }: X509Certificate): string | undefined {
  return /^DNS:([A-Za-z0-9._-]+)$/.exec(subjectAltName)?.[1]
}

function authorityOf(pem: string): X509Certificate | undefined {
  const known = read.get(pem)
  if (known !== undefined) return known
  try {
    const authority = new X509Certificate(pem)
    if (read.size >= mostRead) read.clear()
    read.set(pem, authority)
    return authority
  } catch {
    return undefined
  }
}
