import { X509Certificate } from 'node:crypto'
import type { Username } from '#core/credentials/username.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { issuerOf, nameIn, subjectOf } from './client-certificate.ts'

/** Authorities of one name that a certificate is held against: whoever has more of them has to say a username. */
const mostOfOneName = 32

/**
 * Authorities by their names, and whose each is: a certificate names its issuer, so that who it may be for costs the same
 * with one organization and with thousands.
 */
export class AuthorityIndex {
  /** A name to its authorities in PEM, and each to those that have it. */
  readonly #byName = new Map<string, Map<string, Set<OrganizationId>>>()

  add(organization: OrganizationId, authority: string): void {
    const name = nameOfAuthority(authority)
    if (name === undefined) return
    const same = this.#byName.get(name) ?? new Map<string, Set<OrganizationId>>()
    const having = same.get(authority) ?? new Set<OrganizationId>()
    this.#byName.set(name, same.set(authority, having.add(organization)))
  }

  remove(organization: OrganizationId, authority: string): void {
    const name = nameOfAuthority(authority)
    const same = name === undefined ? undefined : this.#byName.get(name)
    const having = same?.get(authority)
    if (name === undefined || same === undefined || having === undefined) return
    having.delete(organization)
    if (having.size === 0) same.delete(authority)
    if (same.size === 0) this.#byName.delete(name)
  }

  /** The only user of all organizations that the certificate is for. */
  userOf(certificate: X509Certificate): Username | undefined {
    const same = this.#byName.get(comparable(certificate.issuer))
    if (same === undefined || same.size > mostOfOneName) return undefined
    const subject = subjectOf(certificate)
    let only: Username | undefined
    for (const [authority, having] of same) {
      if (issuerOf(certificate, [authority]) === undefined) continue
      for (const organization of having) {
        const name = nameIn(subject, organization)
        if (name === undefined || name.organization === only?.organization) continue
        if (only !== undefined) return undefined
        only = name
      }
    }
    return only
  }
}

function nameOfAuthority(pem: string): string | undefined {
  try {
    return comparable(new X509Certificate(pem).subject)
  } catch {
    return undefined
  }
}

/** Alike for all names that X.509 takes for the same (RFC 5280 §7.1), and for some that are not. */
const comparable = (name: string): string => name.toLowerCase().replaceAll(/\s/g, '')
