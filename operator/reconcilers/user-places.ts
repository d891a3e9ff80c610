import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { MqttUser } from '#core/resources/mqtt-user.ts'
import type { Organization } from '#core/resources/organization.ts'
import type { ResourceHost } from './host.ts'
import { byAge } from './organization-finder.ts'
import { notReady, type ReadyReason, type Readiness, readyReasonOf } from './readiness.ts'
import type { ResourceName } from './reconciler.ts'
import { organizationOf } from './references.ts'
import { organizationPlace } from './resource-indexes.ts'

/** An Organization that a user belongs to. */
export interface Home {
  readonly id: OrganizationId
  readonly organization: Organization
}

export interface UserPlacesParts {
  readonly host: Pick<ResourceHost, 'get' | 'find' | 'count'>
  /** Where a user belongs and holds its username; undefined for whoever needs no place. */
  readonly homeOf: (user: MqttUser) => Home | undefined
  readonly isThere: (id: OrganizationId) => boolean
}

interface Places {
  readonly limit: number
  /** Uids of those that have one, by object. */
  readonly taken: Map<string, string>
  /** Whether everybody was considered: not, as long as there is room for all. */
  readonly isShared: boolean
  /** The Organization as it was when all of them were found to be there still; undefined once somebody has gone. */
  checkedFor: Organization | undefined
}

/** What a status says of a user that has no place, or was not asked whether it has. */
const withoutPlace: readonly (ReadyReason | undefined)[] = [
  undefined,
  'UserLimitReached',
  'OrganizationNotFound',
  'NamespaceNotAllowed',
  'ShortIdConflict',
  'UsernameConflict',
  'StoreUnavailable',
]

/**
 * Which users have the places that `limits.users` of their Organization gives. Whoever has one keeps it, whoever comes
 * later; free ones go to the oldest; under a limit that was lowered the newest lose theirs. Over a restart who has one is
 * read from the statuses. Costs little where there is room for all, and for those who have a place.
 */
export class UserPlaces {
  readonly #parts: UserPlacesParts
  readonly #places = new Map<OrganizationId, Places>()

  constructor(parts: UserPlacesParts) {
    this.#parts = parts
  }

  /** Takes a place for the user; why there is none. */
  refusal(user: MqttUser, home: Home): Readiness | undefined {
    const limit = home.organization.spec.limits?.users
    if (limit === undefined) {
      this.#places.delete(home.id)
      return undefined
    }
    return this.#take(user, home, limit) ? undefined : limitReached(home.organization, limit)
  }

  /** The username is another one's, and with it the place: nobody else waits for that one. */
  pass(user: MqttUser, holder: MqttUser, { id }: Home): void {
    const taken = this.#places.get(id)?.taken
    const key = keyOf(user.metadata)
    if (taken?.get(key) === user.metadata.uid) taken.set(keyOf(holder.metadata), holder.metadata.uid)
    taken?.delete(key)
  }

  /** After a change of a user: where it has gone, those that waited, the oldest first, and can have a place now. */
  admissibleAfter(of: ResourceName): readonly MqttUser[] {
    const user = this.#parts.host.get('MqttUser', of.namespace, of.name)
    const isAnother = this.#forgetFormer(keyOf(of), user?.metadata.uid)
    if (user !== undefined && !isAnother) return []
    for (const places of this.#places.values()) places.checkedFor = undefined
    const waiting = this.#parts.host.find('MqttUser', 'refusal', 'UserLimitReached')
    const byHome = Map.groupBy(waiting, (user) => organizationPlace(organizationOf(user)))
    return [...byHome.values()].flatMap((users) => users.toSorted(byAge).slice(0, this.#room(users)))
  }

  /** Of one that is gone, also where one of its name is there already; whether it had a place. */
  #forgetFormer(key: string, present: string | undefined): boolean {
    let hadPlace = false
    for (const { taken } of this.#places.values()) {
      const uid = taken.get(key)
      if (uid === undefined || uid === present) continue
      taken.delete(key)
      hadPlace = true
    }
    return hadPlace
  }

  #room([user]: readonly MqttUser[]): number {
    const home = user === undefined ? undefined : this.#parts.homeOf(user)
    const places = home === undefined ? undefined : this.#places.get(home.id)
    if (home === undefined || places?.isShared !== true) return Number.POSITIVE_INFINITY
    this.#dropStale(places, home)
    return Math.max(places.limit - places.taken.size, 0)
  }

  #take(user: MqttUser, home: Home, limit: number): boolean {
    const key = keyOf(user.metadata)
    const present = this.#places.get(home.id) ?? this.#begin(home.id)
    const place = organizationPlace(home.organization.metadata)
    if (this.#parts.host.count('MqttUser', 'organization', place) <= limit) {
      present.taken.set(key, user.metadata.uid)
      this.#places.set(home.id, { limit, taken: present.taken, isShared: false, checkedFor: undefined })
      return true
    }
    if (present.isShared && present.limit === limit) {
      if (present.taken.get(key) === user.metadata.uid) return true
      this.#dropStale(present, home)
      if (present.taken.size >= limit) return false
    }
    const taken = this.#shareOut(home, limit, present.taken)
    this.#places.set(home.id, { limit, taken, isShared: true, checkedFor: home.organization })
    return taken.get(key) === user.metadata.uid
  }

  #begin(id: OrganizationId): Places {
    for (const other of this.#places.keys()) {
      if (!this.#parts.isThere(other)) this.#places.delete(other)
    }
    const places = { limit: 0, taken: new Map<string, string>(), isShared: false, checkedFor: undefined }
    this.#places.set(id, places)
    return places
  }

  #shareOut(home: Home, limit: number, before: ReadonlyMap<string, string>): Map<string, string> {
    const { host, homeOf } = this.#parts
    const members = host
      .find('MqttUser', 'organization', organizationPlace(home.organization.metadata))
      .filter((user) => homeOf(user)?.id === home.id)
      .toSorted(byAge)
    const { had = [], waits = [] } = Object.groupBy(members, (user) =>
      hasPlace(user, before) ? 'had' : 'waits',
    )
    const waiting = waits.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    const chosen = [...had, ...waiting].slice(0, limit)
    return new Map(chosen.map(({ metadata }) => [keyOf(metadata), metadata.uid]))
  }

  /** Those that are gone, or may not belong here any more. */
  #dropStale(places: Places, { organization }: Home): void {
    if (places.checkedFor === organization) return
    places.checkedFor = organization
    const { taken } = places
    const { metadata, spec } = organization
    const allowed = [metadata, ...(spec.allowedNamespaces ?? []).map(({ name }) => ({ namespace: name }))]
    const namespaces = new Set(allowed.map(({ namespace }) => namespace))
    for (const [key, uid] of taken) {
      const [namespace = '', name = ''] = key.split('/')
      const user = this.#parts.host.get('MqttUser', namespace, name)
      if (user?.metadata.uid !== uid || !namespaces.has(namespace)) taken.delete(key)
    }
  }
}

function hasPlace(user: MqttUser, taken: ReadonlyMap<string, string>): boolean {
  if (taken.get(keyOf(user.metadata)) === user.metadata.uid) return true
  const reason = readyReasonOf(user)
  return !withoutPlace.some((each) => each === reason)
}

function limitReached({ metadata }: Organization, limit: number): Readiness {
  const message =
    `Organization ${metadata.namespace}/${metadata.name} has room for ${limit} users (spec.limits.users), and others ` +
    'have it: delete one of them, or raise the limit'
  return notReady('UserLimitReached', message)
}

const keyOf = ({ namespace, name }: ResourceName): string => `${namespace}/${name}`
