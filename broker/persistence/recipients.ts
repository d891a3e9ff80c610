import type { RoutedMessage } from '../aedes/messages.ts'
import type { MatchingSubscription } from './session-persistence.ts'
import { grantsFor } from './subscription-table.ts'

/** Sessions whose queues a message goes into. */
export interface Recipients {
  readonly all: readonly string[]
  /** Those of them that were granted QoS 2. */
  readonly exactlyOnce: readonly string[]
  readonly once: readonly string[]
}

/** What the same subscriptions come to, where it does not depend on who publishes. */
const known = new WeakMap<readonly MatchingSubscription[], Recipients>()

/** The same object for the same array, unless one of the subscriptions is no-local. */
export function recipientsOf(
  subscriptions: readonly MatchingSubscription[],
  message: RoutedMessage,
): Recipients {
  const before = known.get(subscriptions)
  if (before !== undefined) return before
  const recipients = recipientsFrom(grantsFor(subscriptions, message))
  if (!subscriptions.some(({ nl }) => nl === true)) known.set(subscriptions, recipients)
  return recipients
}

export function without({ all, exactlyOnce, once }: Recipients, others: Recipients): Recipients {
  const those = new Set(others.all)
  const rest = (ids: readonly string[]): string[] => ids.filter((id) => !those.has(id))
  return { all: rest(all), exactlyOnce: rest(exactlyOnce), once: rest(once) }
}

function recipientsFrom(grants: ReadonlyMap<string, number>): Recipients {
  const granted = (most: number): string[] => [...grants].flatMap(([id, qos]) => (qos === most ? [id] : []))
  return { all: [...grants.keys()], exactlyOnce: granted(2), once: granted(1) }
}
