import { localPartOf, type MqttUser } from '#core/resources/mqtt-user.ts'
import type { ResourceHost } from './host.ts'
import { notReady, type Readiness } from './readiness.ts'
import type { ResourceAddress, ResourceName } from './reconciler.ts'
import { addressOf, organizationOf } from './references.ts'
import { usernamePlace } from './resource-indexes.ts'
import type { UserPlaces } from './user-places.ts'

/** Users that wait for what another one has, its name or its place, and whom it wakes. */

export function conflictWith({ metadata, spec }: MqttUser): Readiness {
  const username = spec.username ?? metadata.name
  return notReady(
    'UsernameConflict',
    `MqttUser ${metadata.namespace}/${metadata.name} is older and holds the username ${username}: choose another`,
  )
}

/** Users that want the same name, and those that wait for any: the one that goes may have held it. */
export function rivalsOf(host: ResourceHost, of: ResourceName): ResourceAddress[] {
  const changed = host.get('MqttUser', of.namespace, of.name)
  const place = changed === undefined ? [] : [usernamePlace(organizationOf(changed), localPartOf(changed))]
  const rivals = place.flatMap((each) => host.find('MqttUser', 'username', each))
  const waiting = host.find('MqttUser', 'refusal', 'UsernameConflict')
  return [...new Set([...rivals, ...waiting])]
    .filter(({ metadata }) => metadata.namespace !== of.namespace || metadata.name !== of.name)
    .map((other) => addressOf('MqttUser', other))
}

/** Those that waited for the place of a user that is gone. */
export function admittedAfter(of: ResourceName, places: UserPlaces): ResourceAddress[] {
  return places.admissibleAfter(of).map((user) => addressOf('MqttUser', user))
}
