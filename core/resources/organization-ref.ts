import type { ResourceRule } from './resource.ts'

/** Nothing moves from one Organization to another. */
export function immutableOrganization(): ResourceRule<{ organizationRef: { name: string } }> {
  return {
    field: 'spec.organizationRef',
    at: 'spec',
    cel: 'self.organizationRef == oldSelf.organizationRef',
    remedy: 'leave it as it was; make a new object for another Organization',
    holds: ({ spec }, old) =>
      old === undefined || spec.organizationRef.name === old.spec.organizationRef.name,
  }
}
