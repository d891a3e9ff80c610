import type { Connection } from '../connection/connection.ts'
import type { Session } from '../connection/session.ts'
import { grant } from '../connection/subscriptions.ts'
import { defaultPersistenceLimits } from '../persistence/session-persistence.ts'
import type { ConnectPacket } from '../wire/packets.ts'

/** Seconds that the session outlives the connection: MQTT 5 §3.1.2.11.2, not above what the organization allows. */
export function sessionExpiry(packet: ConnectPacket, mostSeconds: number): number {
  if (packet.protocolVersion < 5) return packet.clean === true ? 0 : mostSeconds
  return Math.min(packet.properties?.sessionExpiryInterval ?? 0, mostSeconds)
}

/**
 * [MQTT-3.1.2-4] [MQTT-3.1.2-5]: a clean start forgets, otherwise the session goes on, judged by the access of
 * now. Resolves with Session Present.
 */
export async function resumeSession(
  connection: Connection,
  session: Session,
  isClean: boolean,
): Promise<boolean> {
  const { persistence } = session.broker
  configure(connection, session)
  if (!session.isStored) {
    if (session.mayHaveFormer) await persistence.endSession(session)
    return false
  }
  const opened = await persistence.openSession(session, isClean, session.expirySeconds)
  session.epoch = opened.epoch
  // It was ended while this was under way, and found nothing to close.
  if (connection.closed) await persistence.closeSession(session, opened.epoch, session.expirySeconds)
  if (!opened.isPresent) return false
  for (const messageId of opened.incoming) session.incoming.add(messageId)
  const { access } = session.admission
  const lost: string[] = []
  for (const stored of opened.subscriptions) {
    const granted = grant(stored, access)
    if (granted === undefined) lost.push(stored.topic)
    else session.subscriptions.set(granted)
  }
  for (const filter of lost) connection.options.denials.reportSubscription(connection, session, filter)
  await persistence.removeSubscriptions(session, lost)
  session.delivery.resume(opened.sent)
  return true
}

/** What the organization's record allows now. */
function configure({ options }: Connection, { broker, admission }: Session): void {
  const { queued, retained } = admission.organization.limits
  broker.persistence.configure({
    queued: queued ?? defaultPersistenceLimits.queued,
    retained: retained ?? defaultPersistenceLimits.retained,
    isReplicated: admission.organization.durability === 'replicated',
    onDropped: (count) => {
      for (let index = 0; index < count; index += 1) options.metrics.dropped('queue-full')
    },
  })
}
