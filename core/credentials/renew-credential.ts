import type { Attributes } from '#core/identity/attributes.ts'
import type { ProviderRecord } from '#core/identity/provider-record.ts'
import type { OrganizationRecord } from '#core/organizations/organization-record.ts'
import type { CredentialRenewer } from '#core/stores/credential-store.ts'
import { organizationRecordName } from '#core/stores/identity-records.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import { isWithin, type LifeBounds, lifeBounds } from './credential-life.ts'
import type { IssuedCredential } from './credential-record.ts'
import type { Username } from './username.ts'

export interface RenewalDependencies {
  readonly identities: IdentityReader
  readonly credentials: CredentialRenewer
  /** Exchanges and renewals of one principal in a minute. */
  readonly perSubject: number
}

/** Exchanges and renewals of one principal in a minute, unless an installation says otherwise. */
export const defaultPerSubject = 60

export interface RenewalRequest {
  readonly username: Username
  /** As it was when whoever asks was found to have its password. */
  readonly former: IssuedCredential
  /** Seconds that it is to live from now on; as long as a new one when absent. */
  readonly ttlSeconds?: number | undefined
  /** Who it is for was proven anew: it lives on however long it has lived. */
  readonly proof?: FreshProof | undefined
}

export interface FreshProof {
  /** Seconds that the proof itself still lives, where nothing is to outlive it. */
  readonly boundTo?: number | undefined
  /** What the proof says now. */
  readonly attributes?: Attributes | undefined
}

export type Renewal =
  | { readonly renewed: IssuedCredential; readonly provider: ProviderRecord | undefined }
  | { readonly refusal: RenewalRefusal; readonly bounds?: LifeBounds }

export type RenewalRefusal =
  /** the credential is no more, or whoever let it be issued */
  | 'gone'
  /** the records are still on their way: nobody knows */
  | 'not-ready'
  | 'suspended'
  /** the life that is asked for is outside of `bounds` */
  | 'ttl'
  /** it lives as long as it may without a fresh proof */
  | 'longest'

/**
 * Prolongs a credential; by its own password alone never past `maxLifetime` from its first issue. The name and the
 * password stay: connections remain open. Rejects as CredentialStore.extend.
 */
export async function renewCredential(
  { identities, credentials, perSubject }: RenewalDependencies,
  { username: { organization, local }, former, ttlSeconds, proof }: RenewalRequest,
): Promise<Renewal> {
  const [record, provider, key] = await Promise.all([
    identities.get('organization', organization, organizationRecordName),
    former.provider === undefined ? undefined : identities.get('provider', organization, former.provider),
    former.apiKey === undefined ? undefined : identities.get('api-key', organization, former.apiKey),
  ])
  const isSupported =
    (former.provider === undefined || provider !== undefined) &&
    (former.apiKey === undefined || key !== undefined)
  if (record === undefined || !isSupported) {
    return { refusal: (await identities.isReady()) ? 'gone' : 'not-ready' }
  }
  if (record.suspended) return { refusal: 'suspended' }
  // Who could prove nothing anew right now is asked to come again.
  if (provider?.closed !== undefined) return { refusal: 'not-ready' }
  const bounds = lifeBounds(record, provider)
  if (ttlSeconds !== undefined && !isWithin(bounds, ttlSeconds)) return { refusal: 'ttl', bounds }
  const longest = proof === undefined ? longestLife(record, former) : Infinity
  const wanted = Math.max(1, Math.min(ttlSeconds ?? bounds.byDefault, proof?.boundTo ?? Infinity))
  const renewed = await credentials.extend(organization, local, wanted, longest, {
    perMinute: perSubject,
    ...(proof?.attributes === undefined ? {} : { attributes: proof.attributes }),
  })
  if (renewed === undefined) return { refusal: 'gone' }
  const isLongest = renewed.expiresAt >= renewed.issuedAt + longest * 1_000
  return isLongest && renewed.expiresAt === former.expiresAt ? { refusal: 'longest' } : { renewed, provider }
}

/** Seconds from its first issue that its own password can make it live. */
export function longestLife(
  { credentials: { maxLifetime } }: Pick<OrganizationRecord, 'credentials'>,
  { isFinal }: { readonly isFinal?: boolean | undefined },
): number {
  return isFinal === true ? 0 : maxLifetime
}
