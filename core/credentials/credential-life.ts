import type { ProviderRecord } from '#core/identity/provider-record.ts'
import type { OrganizationRecord } from '#core/organizations/organization-record.ts'

const shortestTtl = 60

/** How long a temporary credential may live from now on, in seconds, and how long it does by default. */
export interface LifeBounds {
  readonly shortest: number
  readonly longest: number
  readonly byDefault: number
}

/** `provider` where somebody proved by an identity token who they are. */
export function lifeBounds(
  { credentials: { defaultTtl, maxTtl } }: Pick<OrganizationRecord, 'credentials'>,
  provider?: Pick<ProviderRecord, 'ttl'>,
): LifeBounds {
  const longest = Math.max(Math.min(provider?.ttl ?? maxTtl, maxTtl), shortestTtl)
  const byDefault = Math.max(Math.min(provider?.ttl ?? defaultTtl, longest), shortestTtl)
  return { shortest: shortestTtl, longest, byDefault }
}

export function isWithin({ shortest, longest }: LifeBounds, ttlSeconds: number): boolean {
  return ttlSeconds >= shortest && ttlSeconds <= longest
}
