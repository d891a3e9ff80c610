import { createHash } from 'node:crypto'
import { filterOf } from '#core/access/topic-filter.ts'

/**
 * Groups of shared subscriptions (MQTT 5 §4.8.2): all that subscribe to the same `$share/<name>/<filter>`. A group is
 * named by `$` and a digest, which no session's name begins with; a copy of a message for it is named
 * `<name of the message><group>`.
 */
const sharedPrefix = '$share/'

export const isSharedFilter = (filter: string): boolean => filter.startsWith(sharedPrefix)

/** Of one organization. Undefined for a filter that is not shared. */
export function groupOf(filter: string): string | undefined {
  if (!isSharedFilter(filter)) return undefined
  return `$${createHash('sha1').update(filter.slice(sharedPrefix.length)).digest('hex')}`
}

export function isGroup(id: string): boolean {
  return id.charCodeAt(0) === dollar
}

/** The group that a copy in a queue came by. */
export function groupOfCopy(name: string): string | undefined {
  const at = name.lastIndexOf('$')
  return at === -1 ? undefined : name.slice(at)
}

/** The filter of a group's messages. */
export function filterOfGroup(filter: string): string {
  return filterOf(filter) ?? filter
}

const dollar = 0x24
