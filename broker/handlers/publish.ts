import { setTimeout as pause } from 'node:timers/promises'
import { isTopicName, levelsOf } from '#core/access/topic-filter.ts'
import type { Refused } from '#core/access/verdict.ts'
import type { Message } from '../aedes/messages.ts'
import type { Connection } from '../connection/connection.ts'
import type { EndCauseName } from '../connection/end-cause.ts'
import type { Session } from '../connection/session.ts'
import { RetainedQuotaError } from '../persistence/session-persistence.ts'
import { ownTopics } from '../own-topics/own-topics.ts'
import type { Publish } from '../wire/publish.ts'
import { reason, type ReasonCode } from '../wire/reason-codes.ts'
import { refreshCredential } from './refresh-credential.ts'

/** A message that is larger than what may come in so long is never sent on. */
const longestWaitMs = 30_000

/** A client publishes. It is acknowledged only once the message is stored as far as it must be. */
export function handlePublish(
  connection: Connection,
  session: Session,
  received: Publish,
): Promise<void> | void {
  const packet = connection.withTopic(received)
  if (packet === undefined) return connection.end('topic-alias')
  const problem = problemOf(connection, packet)
  if (problem !== undefined) return connection.end(problem)
  if (session.rate.isLimited) {
    const waitMs = session.rate.take(packet.payload.length, connection.lastReceived)
    if (waitMs > 0) return publishLater(connection, session, packet, waitMs)
  }
  return publishNow(connection, session, packet)
}

/** It publishes too fast: nothing more of it is read until it may go on. */
async function publishLater(
  connection: Connection,
  session: Session,
  packet: Publish,
  waitMs: number,
): Promise<void> {
  connection.options.metrics.throttled()
  if (waitMs > longestWaitMs) return connection.end('rate-exceeded')
  await pause(waitMs, undefined, { ref: false })
  session.rate.waited(performance.now())
  if (!connection.closed) await publishNow(connection, session, packet)
}

function publishNow(connection: Connection, session: Session, packet: Publish): Promise<void> | void {
  connection.options.metrics.received(packet.qos)
  const verdict = session.admission.access.publish(packet.topic, packet.qos, packet.retain)
  if (!verdict.allowed) {
    return packet.topic === ownTopics.refresh
      ? refreshInTurn(connection, session, packet)
      : refuse(connection, session, packet, verdict)
  }
  const message = messageOf(packet)
  if (packet.retain) return publishInTurn(connection, session, packet, message)
  connection.options.frames.came(packet, connection.version)
  if (packet.qos === 0) return session.broker.publish(message, connection)
  return packet.qos === 1
    ? publishOnce(connection, session, packet, message)
    : publishExactlyOnce(connection, session, packet, message)
}

/** Not published at all, but for the broker itself. A packet id that waits for PUBREL is answered again. */
async function refreshInTurn(connection: Connection, session: Session, packet: Publish): Promise<void> {
  await session.publishing.drained
  const { qos, messageId } = packet
  if (qos === 2 && session.incoming.has(messageId)) return acknowledge(connection, packet)
  const code = await refreshCredential(connection, session, packet)
  if (connection.closed || qos === 0) return
  // [MQTT-4.3.3-8]: with a reason of 0x80 or more the packet id is free again.
  if (qos === 2 && code === reason.success) session.incoming.add(messageId)
  acknowledge(connection, packet, code)
}

/** A retained message takes a way to the store that others do not: it waits for those before it [MQTT-4.6.0-5]. */
async function publishInTurn(
  connection: Connection,
  session: Session,
  packet: Publish,
  message: Message,
): Promise<void> {
  await session.publishing.drained
  try {
    if (packet.qos === 2) return await publishExactlyOnce(connection, session, packet, message)
    await session.broker.publish(message, connection)
    if (packet.qos === 1) acknowledge(connection, packet)
  } catch (error) {
    if (!(error instanceof RetainedQuotaError)) throw error
    connection.options.metrics.dropped('retained-quota')
    if (packet.qos > 0) acknowledge(connection, packet, reason.quotaExceeded)
  }
}

function publishOnce(
  connection: Connection,
  session: Session,
  packet: Publish,
  message: Message,
): Promise<void> | undefined {
  const { broker, publishing } = session
  const isDelivered = !broker.needsStore(message)
  // [MQTT-4.6.0-6]
  if (isDelivered && publishing.isStoring) return publishAfter(connection, session, packet, message)
  return publishing.add(
    broker.publish(message, connection),
    () => acknowledge(connection, packet),
    (error) => connection.failed(packet.cmd, error),
    isDelivered,
  )
}

async function publishAfter(
  connection: Connection,
  session: Session,
  packet: Publish,
  message: Message,
): Promise<void> {
  await session.publishing.drained
  if (!connection.closed) await publishOnce(connection, session, packet, message)
}

/** [MQTT-4.3.3-10]: a packet id that waits for PUBREL is answered again and published no second time. */
async function publishExactlyOnce(
  connection: Connection,
  session: Session,
  packet: Publish,
  message: Message,
): Promise<void> {
  const { messageId } = packet
  if (!session.incoming.has(messageId)) {
    if (session.incoming.size >= connection.options.limits.maxInflight)
      return connection.end('receive-maximum')
    await session.broker.publish(message, connection)
    // After it is stored, not before: what breaks off between is published twice, but never lost.
    if (session.isStored) await session.broker.persistence.incomingStore(session, messageId)
    session.incoming.add(messageId)
  }
  acknowledge(connection, packet)
}

function acknowledge(connection: Connection, packet: Publish, code: ReasonCode = reason.success): void {
  const cmd = packet.qos === 1 ? 'puback' : 'pubrec'
  if (code === reason.success || connection.version < 5) connection.acknowledge(cmd, packet.messageId)
  else connection.send({ cmd, messageId: packet.messageId, reasonCode: code })
}

/**
 * MQTT 5 says why. 3.1.1 has no word for it: the message is acknowledged and dropped, so that a client does not
 * send it for ever [MQTT-3.3.5-2].
 */
function refuse(
  connection: Connection,
  session: Session,
  packet: Publish,
  verdict: Refused,
): Promise<void> | undefined {
  connection.options.denials.report(connection, session, { action: 'publish', topic: packet.topic, verdict })
  const answer = (): void => acknowledge(connection, packet, reason.notAuthorized)
  // [MQTT-4.6.0-2]
  if (packet.qos === 1) return session.publishing.add(undefined, answer, () => {})
  if (packet.qos === 2) answer()
  return undefined
}

function problemOf(
  { options, version }: Connection,
  { topic, properties }: Publish,
): EndCauseName | undefined {
  // MQTT 5 §3.3.2.1
  if (topic === '' && version === 5) return 'protocol-error'
  // MQTT 5 §3.3.4: only a broker sends one.
  if (properties?.hasSubscriptionIdentifier === true) return 'protocol-error'
  if (!isTopicName(topic)) return 'malformed-packet'
  return levelsOf(topic) > options.limits.maxTopicLevels ? 'malformed-packet' : undefined
}

function messageOf({ topic, payload, qos, retain, properties }: Publish): Message {
  const hasProperties = properties !== undefined && properties.bytes.length > 0
  if (!retain) {
    return hasProperties
      ? { topic, payload, qos, retain, properties: properties.bytes }
      : { topic, payload, qos, retain }
  }
  // Kept for long: a view would keep everything alive that was read with it.
  const kept = { topic, payload: Buffer.from(payload), qos, retain }
  return hasProperties ? { ...kept, properties: Buffer.from(properties.bytes) } : kept
}
