import type { Access } from '#core/access/access.ts'
import { matches } from '#core/access/topic-filter.ts'
import type { RoutedMessage } from '../aedes/messages.ts'
import { isOwnFilter } from '../own-topics/own-topics.ts'
import { groupOf } from '../persistence/group.ts'
import type { StoredSubscription } from '../persistence/session-persistence.ts'

export type Qos = 0 | 1 | 2

export interface Subscription extends StoredSubscription {
  /** MQTT 5 §3.8.2.1.2 */
  readonly subscriptionIdentifier?: number
  /** A deny overlaps it: each message has to be asked for. */
  readonly checkDelivery: boolean
}

/**
 * What access grants of a subscription: all of it but its QoS, which may become lower. Undefined when it is denied.
 * Judged at SUBSCRIBE, when a session is taken up, and whenever the records change.
 */
export function grant(wanted: Omit<Subscription, 'checkDelivery'>, access: Access): Subscription | undefined {
  if (isOwnFilter(wanted.topic)) return { ...wanted, qos: 0, checkDelivery: false }
  const verdict = access.subscribe(wanted.topic)
  if (!verdict.allowed) return undefined
  const qos = Math.min(wanted.qos, verdict.maxQos) as Qos
  return { ...wanted, qos, checkDelivery: access.checkDelivery(wanted.topic) }
}

/** How a message goes to one client: at which QoS, and whether it keeps its retain flag. */
export interface DeliveryTerms {
  readonly qos: Qos
  readonly retain: boolean
  /** Subscription identifiers of all that match, where there are any (MQTT 5 §3.8.2.1.2). */
  readonly identifiers?: readonly number[]
}

/** Without identifiers there are no others. */
const plainTerms = ([0, 1, 2] as const).map((qos): readonly DeliveryTerms[] => [
  { qos, retain: false },
  { qos, retain: true },
])

/** The filters of one client that were granted. */
export class Subscriptions {
  readonly #byFilter = new Map<string, Subscription>()
  /** Those of them that are shared (MQTT 5 §4.8.2); most clients have none. */
  #byGroup: Map<string, Subscription> | undefined

  get size(): number {
    return this.#byFilter.size
  }

  all(): Subscription[] {
    return [...this.#byFilter.values()]
  }

  has(filter: string): boolean {
    return this.#byFilter.has(filter)
  }

  get hasShared(): boolean {
    return this.#byGroup !== undefined && this.#byGroup.size > 0
  }

  set(subscription: Subscription): void {
    this.#byFilter.set(subscription.topic, subscription)
    const group = groupOf(subscription.topic)
    if (group !== undefined) (this.#byGroup ??= new Map()).set(group, subscription)
  }

  /** Resolves to whether it was there. */
  delete(filter: string): boolean {
    const group = groupOf(filter)
    if (group !== undefined) this.#byGroup?.delete(group)
    return this.#byFilter.delete(filter)
  }

  /** The same for a copy that came by a group: its subscription alone counts. */
  termsForGroup(message: RoutedMessage, group: string, access: Access): DeliveryTerms | undefined {
    const subscription = this.#byGroup?.get(group)
    if (subscription === undefined || message.topic.startsWith('$')) return undefined
    if (subscription.checkDelivery && !access.receive(message.topic)) return undefined
    const qos = Math.min(subscription.qos, message.qos) as Qos
    const retain = subscription.rap === true && message.retain
    const { subscriptionIdentifier } = subscription
    return subscriptionIdentifier === undefined
      ? plainTerms[qos]?.[retain ? 1 : 0]
      : { qos, retain, identifiers: [subscriptionIdentifier] }
  }

  /**
   * How this message goes to the client `owner`: the highest granted QoS of all filters that match (MQTT 5
   * §3.3.4), not above the message's own. Undefined when none matches, all that do exclude the client's own
   * messages, or access to the topic is denied. One message carries the identifiers of all of them
   * [MQTT-3.3.4-3].
   */
  termsFor(message: RoutedMessage, owner: string, access: Access): DeliveryTerms | undefined {
    // A filter that begins with a wildcard never reaches these, and no other is granted [MQTT-4.7.2-1].
    if (message.topic.startsWith('$')) return undefined
    let best: Subscription | undefined
    let retain = false
    let mustAsk = false
    let identifiers: number[] | undefined
    for (const subscription of this.#byFilter.values()) {
      if (!matches(subscription.topic, message.topic)) continue
      if (subscription.nl === true && message.clientId === owner) continue
      if (best === undefined || subscription.qos > best.qos) best = subscription
      retain ||= subscription.rap === true && message.retain
      mustAsk ||= subscription.checkDelivery
      const { subscriptionIdentifier } = subscription
      if (subscriptionIdentifier !== undefined) (identifiers ??= []).push(subscriptionIdentifier)
    }
    if (best === undefined || (mustAsk && !access.receive(message.topic))) return undefined
    const qos = Math.min(best.qos, message.qos) as Qos
    return identifiers === undefined ? plainTerms[qos]?.[retain ? 1 : 0] : { qos, retain, identifiers }
  }
}
