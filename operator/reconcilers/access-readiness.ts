import type { AccessPolicy } from '#core/access/access-policy.ts'
import type { Organization } from '#core/resources/organization.ts'
import { notReady, type Readiness } from './readiness.ts'
import { missingLists, namesOf, type ResourceReader } from './references.ts'

/** What keeps an identity with this policy from doing anything at all; undefined when nothing does. */
export function accessRefusal(
  reader: ResourceReader,
  organization: Organization,
  policy: AccessPolicy,
): Readiness | undefined {
  const isBare = policy.lists.length === 0 && policy.rules.length === 0
  const lists = isBare ? namesOf(organization.spec.defaultAccessListRefs) : policy.lists
  const refusal = missingListRefusal(reader, organization, [...lists, ...policy.ceilings.flat()])
  if (refusal !== undefined) return refusal
  if (lists.length === 0 && policy.rules.length === 0) {
    const message =
      'no access list and no rule applies, so that nothing is allowed: give accessListRefs, ' +
      'or defaultAccessListRefs to the Organization'
    return notReady('NoAccess', message)
  }
  return policy.ceilings.some((ceiling) => ceiling.length === 0)
    ? notReady('NoAccess', 'the ceiling of this namespace names no list, so that nothing is allowed')
    : undefined
}

export function missingListRefusal(
  reader: ResourceReader,
  organization: Organization,
  names: readonly string[],
): Readiness | undefined {
  const missing = missingLists(reader, organization, names)
  if (missing.length === 0) return undefined
  const { namespace, name } = organization.metadata
  const message = `Organization ${namespace}/${name} has no AccessList ${missing.join(', ')}; a missing list denies everything`
  return notReady('AccessListNotFound', message)
}
