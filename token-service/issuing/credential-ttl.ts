import { isWithin, type LifeBounds, lifeBounds } from '#core/credentials/credential-life.ts'
import type { ProviderRecord } from '#core/identity/provider-record.ts'
import type { OrganizationRecord } from '#core/organizations/organization-record.ts'
import { ProblemError } from '../problems.ts'

export interface TtlInput {
  /** Seconds that the caller asks for. */
  readonly requested: number | undefined
  readonly organization: Pick<OrganizationRecord, 'credentials'>
  /** Where somebody proved by an identity token who they are. */
  readonly provider?: Pick<ProviderRecord, 'ttl' | 'bindToTokenExpiry'> | undefined
  /** Seconds that the identity token still lives. */
  readonly tokenLife?: number
}

/**
 * How long a credential lives, in seconds. A request outside the bounds is refused, so that nobody believes in
 * a life that was cut in silence; a default is fitted into them.
 */
export function credentialTtl({ requested, provider, organization, tokenLife = Infinity }: TtlInput): number {
  const bounds = lifeBounds(organization, provider)
  if (requested !== undefined && !isWithin(bounds, requested)) throw ttlOutOfRange(requested, bounds)
  const ttl = requested ?? bounds.byDefault
  // May be shorter than the shortest: whoever binds wants nothing to outlive the token (Clerk's live 60 s).
  return provider?.bindToTokenExpiry === true ? Math.min(ttl, Math.max(tokenLife, 1)) : ttl
}

export function ttlOutOfRange(value: number, { shortest, longest }: LifeBounds): ProblemError {
  const remedy = `give ${shortest} to ${longest} seconds`
  return new ProblemError('ttl_out_of_range', { errors: [{ field: 'ttl', value, remedy }] })
}
