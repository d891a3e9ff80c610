import { matches } from '#core/access/topic-filter.ts'
import type { Connection } from '../connection/connection.ts'
import type { Session } from '../connection/session.ts'
import { jsonProperties } from '../wire/publish-properties.ts'

/** Extra property bytes of MQTT 5. */
interface OwnMessage {
  readonly topic: string
  readonly body: object
  readonly properties?: Buffer | undefined
}

/**
 * Tells one connection something, at QoS 0: it is about this connection and worth nothing to a later one. False when
 * the client does not take it.
 */
export function sendOwn(
  connection: Connection,
  session: Session,
  { topic, body, properties }: OwnMessage,
): boolean {
  if (connection.closed || connection.pending > connection.options.limits.dropAboveBytes) return false
  const identifiers = session.subscriptions
    .all()
    .filter((subscription) => matches(subscription.topic, topic))
    .flatMap(({ subscriptionIdentifier }) => subscriptionIdentifier ?? [])
  const message = {
    topic,
    payload: Buffer.from(JSON.stringify(body)),
    qos: 0,
    retain: false,
    properties: properties === undefined ? jsonProperties : Buffer.concat([jsonProperties, properties]),
  } as const
  const terms = { qos: 0, retain: false, ...(identifiers.length === 0 ? {} : { identifiers }) } as const
  const isSent = connection.sendPublish(message, terms, 0, false)
  if (isSent) connection.options.metrics.delivered(0)
  return isSent
}

/** Whether the connection has subscribed to what is said on this topic. */
export function wants({ subscriptions }: Session, topic: string): boolean {
  return subscriptions.all().some((subscription) => matches(subscription.topic, topic))
}

/** How a time is said, by REST too. */
export function lifeOf(expiresAt: number, now: number): { expires_at: string; expires_in: number } {
  return {
    expires_at: new Date(expiresAt).toISOString(),
    expires_in: Math.max(0, Math.round((expiresAt - now) / 1_000)),
  }
}
