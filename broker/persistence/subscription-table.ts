import type { RoutedMessage } from '../aedes/messages.ts'
import { isGroup } from './group.ts'
import type { MatchingSubscription, StoredSubscription } from './session-persistence.ts'

type Qos = 0 | 1 | 2

interface Level {
  readonly children: Map<string, Level>
  readonly subscriptions: Map<string, MatchingSubscription>
}

const newLevel = (): Level => ({ children: new Map(), subscriptions: new Map() })

const none: MatchingSubscription[] = []
const noGroups: readonly string[] = []
const knownGroups = new WeakMap<readonly MatchingSubscription[], readonly string[]>()
const rememberedTopics = 1_000

/** Subscriptions of an organization's stored sessions, found by session and by topic. */
export class SubscriptionTable {
  readonly #root = newLevel()
  readonly #matches = new Map<string, MatchingSubscription[]>()
  readonly #byClient = new Map<string, Map<string, MatchingSubscription>>()
  /** Whether one of the subscriptions is a group's: most organizations have none. */
  #hasGroups = false

  set(clientId: string, subscription: StoredSubscription): void {
    const entry = { ...subscription, clientId }
    const own = this.#byClient.get(clientId) ?? new Map<string, MatchingSubscription>()
    this.#byClient.set(clientId, own)
    this.#hasGroups ||= isGroup(clientId)
    own.set(subscription.topic, entry)
    // QoS 0 is for clients that are there: it is remembered for the session, and never queued for it.
    if (subscription.qos > 0) this.#plant(entry)
    else this.#uproot(clientId, subscription.topic)
  }

  delete(clientId: string, filter: string): void {
    const own = this.#byClient.get(clientId)
    if (own?.delete(filter) !== true) return
    if (own.size === 0) this.#byClient.delete(clientId)
    this.#uproot(clientId, filter)
  }

  deleteClient(clientId: string): void {
    for (const { topic } of this.ofClient(clientId)) this.delete(clientId, topic)
  }

  ofClient(clientId: string): MatchingSubscription[] {
    return [...(this.#byClient.get(clientId)?.values() ?? [])]
  }

  /**
   * Those above QoS 0 whose filter matches; a client with several comes several times. The same array as long as
   * nothing changes and the topic is one of the last.
   */
  match(topic: string): MatchingSubscription[] {
    if (this.#byClient.size === 0) return none
    const before = this.#matches.get(topic)
    if (before !== undefined) return before
    const found: MatchingSubscription[] = []
    collect(this.#root, topic.split('/'), 0, topic.startsWith('$'), found)
    if (this.#matches.size >= rememberedTopics) this.#matches.clear()
    this.#matches.set(topic, found)
    return found
  }

  /** Groups among them. */
  groupsOf(topic: string): readonly string[] {
    return this.#hasGroups ? groupsAmong(this.match(topic)) : noGroups
  }

  #plant(subscription: MatchingSubscription): void {
    this.#matches.clear()
    let level = this.#root
    for (const name of subscription.topic.split('/')) {
      const next = level.children.get(name) ?? newLevel()
      level.children.set(name, next)
      level = next
    }
    level.subscriptions.set(subscription.clientId, subscription)
  }

  #uproot(clientId: string, filter: string): void {
    this.#matches.clear()
    const path: [Level, string][] = []
    let level: Level | undefined = this.#root
    for (const name of filter.split('/')) {
      path.push([level, name])
      level = level.children.get(name)
      if (level === undefined) return
    }
    level.subscriptions.delete(clientId)
    for (const [parent, name] of path.toReversed()) {
      const child = parent.children.get(name)
      if (child === undefined || child.subscriptions.size > 0 || child.children.size > 0) return
      parent.children.delete(name)
    }
  }
}

function groupsAmong(subscriptions: readonly MatchingSubscription[]): readonly string[] {
  const known = knownGroups.get(subscriptions)
  if (known !== undefined) return known
  const groups = subscriptions.map(({ clientId }) => clientId).filter(isGroup)
  knownGroups.set(subscriptions, groups)
  return groups
}

function collect(
  level: Level,
  names: readonly string[],
  index: number,
  isHidden: boolean,
  found: MatchingSubscription[],
): void {
  // [MQTT-4.7.2-1]
  const mayBeWild = index > 0 || !isHidden
  if (mayBeWild) take(level.children.get('#'), found)
  const name = names[index]
  if (name === undefined) {
    take(level, found)
    return
  }
  const child = level.children.get(name)
  if (child !== undefined) collect(child, names, index + 1, isHidden, found)
  const wild = mayBeWild ? level.children.get('+') : undefined
  if (wild !== undefined) collect(wild, names, index + 1, isHidden, found)
}

function take(level: Level | undefined, found: MatchingSubscription[]): void {
  if (level !== undefined) found.push(...level.subscriptions.values())
}

/** The highest QoS of each session, without those that do not want their own messages [MQTT-3.8.3-3]. */
export function grantsFor(
  subscriptions: readonly MatchingSubscription[],
  message: RoutedMessage,
): Map<string, Qos> {
  const grants = new Map<string, Qos>()
  for (const { clientId, qos, nl } of subscriptions) {
    if (nl === true && clientId === message.clientId) continue
    grants.set(clientId, Math.max(grants.get(clientId) ?? 0, qos) as Qos)
  }
  return grants
}
