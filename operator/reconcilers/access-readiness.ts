import {
  type AccessPart,
  type AccessPolicy,
  allowsAnything,
  listsOf,
  partsOf,
  variablesMissing,
} from '#core/access/access-policy.ts'
import type { Attributes } from '#core/identity/attributes.ts'
import type { Organization } from '#core/resources/organization.ts'
import { notReady, type Readiness } from './readiness.ts'
import { missingLists, namesOf, type ResourceReader } from './references.ts'

/** Stands for a value that an identity has once it connects. */
export const someValue = 'x'

/**
 * What keeps an identity with this policy from doing anything at all; undefined when nothing does. `attributes` are
 * those that it has, whatever their values.
 */
export function accessRefusal(
  reader: ResourceReader,
  organization: Organization,
  policy: AccessPolicy,
  attributes: Attributes,
): Readiness | undefined {
  const { metadata, spec } = organization
  const defaults = namesOf(spec.defaultAccessListRefs)
  const names = listsOf(policy, defaults)
  const missing = missingListRefusal(reader, organization, names)
  if (missing !== undefined) return missing
  const found = new Map(
    names.flatMap((name) => {
      const list = reader.get('AccessList', metadata.namespace, name)
      return list === undefined ? [] : [[name, list.spec] as const]
    }),
  )
  const idle = partsOf(policy, defaults, found).find((part) => !allowsAnything(part, attributes))
  return idle === undefined ? undefined : notReady('NoAccess', whyIdle(idle, attributes))
}

function whyIdle(part: AccessPart, attributes: Attributes): string {
  const { kind, lists } = part
  if (kind !== 'own') {
    return lists.length === 0
      ? 'a ceiling around it names no list, so that nothing is allowed'
      : 'no list of a ceiling around it allows anything'
  }
  if (lists.length === 0) {
    return (
      'no access list and no rule applies, so that nothing is allowed: give accessListRefs, ' +
      'or defaultAccessListRefs to the Organization'
    )
  }
  const variables = variablesMissing(part, attributes).map((name) => `{${name}}`)
  return variables.length === 0
    ? 'no rule of its lists allows anything'
    : `no rule that allows anything applies: ${variables.join(', ')} can have no value here`
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
