import { type OrganizationId, organizationIdOf } from '#core/organizations/organization-id.ts'
import { localPartOf, type MqttUser } from '#core/resources/mqtt-user.ts'
import type { Organization } from '#core/resources/organization.ts'
import type { ResourceKindName, ResourceOf } from '#core/resources/index.ts'
import { readyReasonOf } from './readiness.ts'
import type { ResourceName } from './reconciler.ts'
import { organizationOf } from './references.ts'

/** What stands under `id` for an Organization whose short id is derived from its name. */
export const derivedId = ''

/**
 * By what objects are looked for beside their name. A host that has many keeps them in order by each, so that nobody
 * has to look at all. Pure.
 */
const resourceIndexes = {
  Organization: {
    id: ({ spec }: Organization): readonly string[] => [pinnedIdOf(spec) ?? derivedId],
  },
  MqttUser: {
    /** As `usernamePlace` has it. */
    username: (user: MqttUser): readonly string[] => [usernamePlace(organizationOf(user), localPartOf(user))],
    /** As `organizationPlace` has it. */
    organization: (user: MqttUser): readonly string[] => [organizationPlace(organizationOf(user))],
    /** Why it is not Ready. */
    refusal(user: MqttUser): readonly string[] {
      const reason = readyReasonOf(user) ?? 'Synced'
      return reason === 'Synced' ? [] : [reason]
    },
  },
} as const

export type IndexedKind = keyof typeof resourceIndexes
export type IndexOf<K extends IndexedKind> = keyof (typeof resourceIndexes)[K] & string
type Indexes<K extends ResourceKindName> = Readonly<
  Record<string, (resource: ResourceOf[K]) => readonly string[]>
>

export function indexesOf<K extends ResourceKindName>(kind: K): Indexes<K> {
  const all: Partial<Record<ResourceKindName, object>> = resourceIndexes
  return (all[kind] ?? {}) as Indexes<K>
}

/** For a host that keeps no index, or to judge what an index has found. */
export function isUnder<K extends IndexedKind>(
  kind: K,
  index: IndexOf<K>,
  value: string,
): (resource: ResourceOf[K]) => boolean {
  return (resource) => indexesOf(kind)[index]?.(resource).includes(value) === true
}

/** Where a username stands: in the Organization that is meant, whether its user may belong to it or not. */
export function usernamePlace({ namespace, name }: ResourceName, local: string): string {
  return `${namespace}/${name}/${local}`
}

/** The Organization that is meant, whether its members may belong to it or not. */
export function organizationPlace({ namespace, name }: ResourceName): string {
  return `${namespace}/${name}`
}

export function pinnedIdOf({ shortId }: Organization['spec']): OrganizationId | undefined {
  return shortId === undefined ? undefined : organizationIdOf(shortId)
}
