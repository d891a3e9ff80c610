import { filterOf, isTopicFilter, levelsOf } from '#core/access/topic-filter.ts'
import type { Connection } from '../connection/connection.ts'
import type { Session } from '../connection/session.ts'
import { grant, type Qos, type Subscription } from '../connection/subscriptions.ts'
import { isOwnFilter } from '../own-topics/own-topics.ts'
import { isSharedFilter } from '../persistence/group.ts'
import type { RequestedSubscription, SubscribePacket } from '../wire/parse-packet.ts'
import { withIdentifiers } from '../wire/publish-properties.ts'
import { reason, type ReasonCode } from '../wire/reason-codes.ts'

/** What became of one filter: its subscription, or why it was refused. */
type Verdict =
  | { readonly subscription: Subscription; readonly isNew: boolean }
  | { readonly code: ReasonCode }

/**
 * A client subscribes. Each filter is judged by itself; only what was granted reaches the store and aedes.
 * SUBACK comes once that is so, retained messages after it.
 */
export async function handleSubscribe(
  connection: Connection,
  session: Session,
  packet: SubscribePacket,
): Promise<void> {
  // [MQTT-3.8.3-4]
  if (packet.subscriptions.some(({ topic, nl }) => nl && isSharedFilter(topic))) {
    return connection.end('protocol-error')
  }
  const verdicts: Verdict[] = []
  for (const requested of packet.subscriptions) {
    const verdict = judge(connection, session, requested, packet.properties?.subscriptionIdentifier)
    // At once, so that the limit counts the filters of one packet too.
    if ('subscription' in verdict) session.subscriptions.set(verdict.subscription)
    verdicts.push(verdict)
  }
  const granted = verdicts.filter((verdict) => 'subscription' in verdict)
  const subscriptions = granted.map(({ subscription }) => subscription)
  const shared = subscriptions.filter(isShared)
  if (shared.length > 0 && session.epoch === undefined) await openQueue(connection, session)
  const stored = session.isStored ? subscriptions : shared
  if (stored.length > 0) await session.broker.persistence.addSubscriptions(session, stored)
  for (const { subscription, isNew } of granted) {
    if (isNew) await session.broker.subscribe(subscription.topic, connection.deliver)
  }
  connection.send({
    cmd: 'suback',
    messageId: packet.messageId,
    granted: verdicts.map((verdict) => answerTo(verdict, connection.version)),
  })
  if (subscriptions.length > 0) connection.options.told.changed(connection, session)
  if (subscriptions.some(({ topic }) => isOwnFilter(topic))) connection.askedForExpiry()
  // What was waiting for a member.
  if (shared.length > 0) session.delivery.lookForMore()
  await sendRetained(connection, session, granted)
}

const isShared = ({ topic }: Subscription): boolean => isSharedFilter(topic)

/** A session that ends with its connection is stored for as long, so that its share is not lost with it. */
async function openQueue(connection: Connection, session: Session): Promise<void> {
  const { persistence } = session.broker
  const { epoch } = await persistence.openSession(session, true, 0)
  session.epoch = epoch
  session.delivery.useQueue({ persistence, owner: session })
  // It was ended while this was under way, and found nothing to close.
  if (connection.closed) await persistence.closeSession(session, epoch, 0)
}

function judge(
  connection: Connection,
  session: Session,
  requested: RequestedSubscription,
  identifier: number | undefined,
): Verdict {
  const { options } = connection
  const { topic, qos, nl, rap, rh } = requested
  const filter = filterOf(topic)
  if (filter === undefined || !isTopicFilter(filter)) return { code: reason.topicFilterInvalid }
  if (levelsOf(filter) > options.limits.maxTopicLevels) return { code: reason.topicFilterInvalid }
  const isNew = !session.subscriptions.has(topic)
  if (isNew && session.subscriptions.size >= options.limits.maxSubscriptions) {
    options.metrics.limited('subscriptions')
    return { code: reason.quotaExceeded }
  }
  const wanted = {
    topic,
    qos,
    rh,
    rap,
    nl,
    ...(identifier === undefined ? {} : { subscriptionIdentifier: identifier }),
  }
  const subscription = grant(wanted, session.admission.access)
  if (subscription !== undefined) return { subscription, isNew }
  options.denials.reportSubscription(connection, session, topic)
  return { code: reason.notAuthorized }
}

/** 3.1.1 knows one refusal [MQTT-3.9.3-2]. */
function answerTo(verdict: Verdict, version: number): number {
  if ('subscription' in verdict) return verdict.subscription.qos
  return version === 5 ? verdict.code : reason.unspecified
}

interface Granted {
  readonly subscription: Subscription
  readonly isNew: boolean
}

/**
 * MQTT 5 §3.8.3.1, retain handling: 0 always, 1 for a new subscription, 2 never. Resolves when all are sent, or
 * earlier when there are more than the client takes at a time: its acknowledgements have to be handled before
 * the others can follow.
 */
async function sendRetained(
  connection: Connection,
  session: Session,
  granted: readonly Granted[],
): Promise<void> {
  const asked = granted
    .filter(({ subscription: { rh }, isNew }) => rh === 0 || (rh === 1 && isNew))
    // MQTT 5 §4.8.2: a shared subscription gets none, and of one's own topics nothing is kept.
    .filter(({ subscription }) => !isShared(subscription) && !isOwnFilter(subscription.topic))
  if (asked.length === 0) return
  const { promise, resolve } = Promise.withResolvers<void>()
  const sending = async (): Promise<void> => {
    for (const { subscription } of asked) await sendRetainedOf(session, subscription, resolve)
  }
  sending()
    .catch((error: unknown) => connection.failed('subscribe', error))
    .finally(resolve)
  await promise
}

async function sendRetainedOf(
  session: Session,
  subscription: Subscription,
  waits: () => void,
): Promise<void> {
  const { delivery, broker, subscriptions } = session
  for await (const message of broker.persistence.createRetainedStreamCombi([subscription.topic])) {
    const room = delivery.room()
    if (room !== undefined) {
      waits()
      await room
    }
    if (delivery.isClosed || !subscriptions.has(subscription.topic)) return
    const { topic, payload } = message
    const properties = propertiesFor(subscription, message.properties)
    // Kept from another time, and a wildcard reaches no `$` topic.
    if (topic.startsWith('$') || !session.admission.access.receive(topic)) continue
    const qos = Math.min(message.qos, subscription.qos) as Qos
    const given = { topic, payload, qos, retain: true, ...(properties === undefined ? {} : { properties }) }
    delivery.retained(given, qos)
  }
}

/** [MQTT-3.3.4-3] */
function propertiesFor({ subscriptionIdentifier }: Subscription, properties?: Buffer): Buffer | undefined {
  return subscriptionIdentifier === undefined
    ? properties
    : withIdentifiers(properties, [subscriptionIdentifier])
}
