import type { Organization } from '#core/resources/organization.ts'
import { type AnyResource, type ResourceKindName, type ResourceOf } from '#core/resources/index.ts'
import type { ResourceHost } from './host.ts'
import type { ResourceAddress, ResourceName } from './reconciler.ts'

/**
 * Who refers to whom. What is asked for when an Organization or a list changes comes from a scan of what the host has
 * seen; what is asked for in each reconcile has an index, in resource-indexes.ts.
 */
export type ResourceReader = Pick<ResourceHost, 'get' | 'list'>

/** Kinds whose objects belong to an Organization by their organizationRef. */
const memberKinds = [
  'AccessList',
  'IdentityProvider',
  'ApiKey',
  'MqttUser',
] as const satisfies readonly ResourceKindName[]
type MemberKind = (typeof memberKinds)[number]
type Member = ResourceOf[MemberKind]

export function addressOf(kind: ResourceKindName, { metadata }: AnyResource): ResourceAddress {
  return { kind, namespace: metadata.namespace, name: metadata.name }
}

/** Everything whose organizationRef names this Organization, whether it may or not. */
export function membersOf(reader: ResourceReader, organization: ResourceName): ResourceAddress[] {
  return memberKinds.flatMap((kind) =>
    reader
      .list(kind)
      .filter((member) => refersTo(member, organization))
      .map((member) => addressOf(kind, member)),
  )
}

export function refersTo(member: Member, organization: ResourceName): boolean {
  const home = organizationOf(member)
  return home.name === organization.name && home.namespace === organization.namespace
}

/** The Organization that an object means to belong to. */
export function organizationOf({ metadata, spec }: Member): ResourceName {
  const ref: { readonly name: string; readonly namespace?: string } = spec.organizationRef
  return { namespace: ref.namespace ?? metadata.namespace, name: ref.name }
}

/** Those of the names that no AccessList of the Organization has. */
export function missingLists(
  reader: ResourceReader,
  organization: Organization,
  names: readonly string[],
): string[] {
  const { namespace } = organization.metadata
  return [...new Set(names)].filter((name) => {
    const list = reader.get('AccessList', namespace, name)
    return list === undefined || !refersTo(list, organization.metadata)
  })
}

/** Whoever is judged by this list: by referring to it, by a default or by a ceiling of their Organization. */
export function usersOfList(reader: ResourceReader, list: ResourceName): ResourceAddress[] {
  const organizations = reader
    .list('Organization')
    .filter(({ metadata, spec }) => metadata.namespace === list.namespace && names(spec).includes(list.name))
  const byOrganization = organizations.flatMap((organization) => [
    addressOf('Organization', organization),
    ...membersOf(reader, organization.metadata).filter(({ kind }) => kind !== 'AccessList'),
  ])
  const direct = (['IdentityProvider', 'ApiKey', 'MqttUser'] as const).flatMap((kind) =>
    reader
      .list(kind)
      .filter(
        (member) =>
          organizationOf(member).namespace === list.namespace &&
          listsOfMember(member).some(({ name }) => name === list.name),
      )
      .map((member) => addressOf(kind, member)),
  )
  return [...byOrganization, ...direct]
}

function listsOfMember({
  spec,
}: ResourceOf['IdentityProvider' | 'ApiKey' | 'MqttUser']): readonly { readonly name: string }[] {
  const ceiling = 'ceilingAccessListRefs' in spec ? spec.ceilingAccessListRefs : undefined
  return [...(spec.accessListRefs ?? []), ...(ceiling ?? [])]
}

function names({ defaultAccessListRefs = [], allowedNamespaces = [] }: Organization['spec']): string[] {
  const ceilings = allowedNamespaces.flatMap(({ accessListRefs = [] }) => accessListRefs)
  return [...defaultAccessListRefs, ...ceilings].map(({ name }) => name)
}

export const namesOf = (refs: readonly { readonly name: string }[] | undefined): string[] =>
  (refs ?? []).map(({ name }) => name)
