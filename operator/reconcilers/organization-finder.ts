import { deriveShortId, type OrganizationId } from '#core/organizations/organization-id.ts'
import type { Organization } from '#core/resources/organization.ts'
import type { Metadata } from '#core/resources/resource.ts'
import type { ResourceHost } from './host.ts'
import { notReady, type Readiness } from './readiness.ts'
import { derivedId, pinnedIdOf } from './resource-indexes.ts'

/** An Organization that somebody may belong to, or why not. */
export type OrganizationLookup =
  | {
      readonly id: OrganizationId
      readonly organization: Organization
      /** Bounds for whoever comes from this namespace; see AccessPolicy. */
      readonly ceilings: readonly (readonly string[])[]
      readonly refusal?: undefined
    }
  | { readonly id?: undefined; readonly refusal: Readiness }

/** Which Organization has which id, and who may belong to it. Answers from what the host has seen so far. */
export interface OrganizationFinder {
  /** `spec.shortId`, else the derived one. */
  idOf(organization: Organization): OrganizationId
  /** The one of several Organizations with an id that it belongs to: the oldest. */
  holderOf(id: OrganizationId): Organization | undefined
  /** What an object in `namespace` means by its organizationRef. */
  find(
    namespace: string,
    ref: { readonly name: string; readonly namespace?: string | undefined },
  ): OrganizationLookup
}

export function createOrganizationFinder(
  host: Pick<ResourceHost, 'get' | 'find'>,
  installation: string,
): OrganizationFinder {
  const idOf = ({ spec, metadata }: Organization): OrganizationId =>
    pinnedIdOf(spec) ?? `org_${deriveShortId(installation, metadata.namespace, metadata.name)}`

  const holderOf = (id: OrganizationId): Organization | undefined => {
    const derived = host.find('Organization', 'id', derivedId)
    const same = derived.filter((organization) => idOf(organization) === id)
    return oldest([...host.find('Organization', 'id', id), ...same])
  }

  const find: OrganizationFinder['find'] = (namespace, ref) => {
    const home = ref.namespace ?? namespace
    const organization = host.get('Organization', home, ref.name)
    if (organization === undefined || organization.metadata.deletionTimestamp !== undefined) {
      return refused('OrganizationNotFound', `there is no Organization ${ref.name} in namespace ${home}`)
    }
    const entries = (organization.spec.allowedNamespaces ?? []).filter(({ name }) => name === namespace)
    if (home !== namespace && entries.length === 0) {
      return refused(
        'NamespaceNotAllowed',
        `add ${namespace} to spec.allowedNamespaces of Organization ${home}/${ref.name}`,
      )
    }
    const id = idOf(organization)
    if (!isSame(holderOf(id), organization)) {
      return refused('ShortIdConflict', `Organization ${home}/${ref.name} does not hold its short id`)
    }
    // Entries of one namespace bound it together, so that a second one never widens.
    const ceilings = home === namespace ? [] : entries.flatMap(ceilingOf)
    return { id, organization, ceilings }
  }
  return { idOf, holderOf, find }
}

/** Of objects that want the same thing: the first made, and among those of one second the first by name. */
export function oldest<T extends { readonly metadata: Metadata }>(objects: readonly T[]): T | undefined {
  if (objects.length < 2) return objects[0]
  return objects.toSorted(byAge)[0]
}

/** For sorting: the oldest first, in an order that is the same each time. */
export function byAge(left: { readonly metadata: Metadata }, right: { readonly metadata: Metadata }): number {
  return compare(ageOf(left.metadata), ageOf(right.metadata))
}

export function isSame(
  left: { readonly metadata: Metadata } | undefined,
  right: { readonly metadata: Metadata },
): boolean {
  return left?.metadata.name === right.metadata.name && left.metadata.namespace === right.metadata.namespace
}

function refused(reason: Parameters<typeof notReady>[0], message: string): OrganizationLookup {
  return { refusal: notReady(reason, message) }
}

function ceilingOf(entry: {
  readonly accessListRefs?: readonly { readonly name: string }[] | undefined
}): string[][] {
  return entry.accessListRefs === undefined ? [] : [entry.accessListRefs.map(({ name }) => name)]
}

function ageOf({ creationTimestamp, namespace, name }: Metadata): string {
  return `${creationTimestamp ?? '9999'} ${namespace}/${name}`
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}
