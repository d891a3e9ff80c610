import type { Admission } from '../admission/admission.ts'
import type { Connection } from '../connection/connection.ts'
import type { Session } from '../connection/session.ts'
import { grant } from '../connection/subscriptions.ts'
import { storedSeconds } from '../connection/end-session.ts'
import type { SessionMark } from '../persistence/session-mark.ts'
import { defaultPersistenceLimits } from '../persistence/session-persistence.ts'
import type { ConnectPacket } from '../wire/packets.ts'

const ofProvider = 'provider:'
const ofApiKey = 'api-key:'

/** Seconds that the session outlives the connection: MQTT 5 §3.1.2.11.2, not above what the organization allows. */
export function sessionExpiry(packet: ConnectPacket, mostSeconds: number): number {
  if (packet.protocolVersion < 5) return packet.clean === true ? 0 : mostSeconds
  return Math.min(packet.properties?.sessionExpiryInterval ?? 0, mostSeconds)
}

/**
 * [MQTT-3.1.2-4] [MQTT-3.1.2-5]: a clean start forgets, otherwise the session goes on, judged by the access of
 * now. Resolves with Session Present; undefined when there is none, and nothing to do about it.
 */
export function resumeSession(
  connection: Connection,
  session: Session,
  isClean: boolean,
): Promise<boolean> | undefined {
  configure(connection, session)
  if (session.isStored) return openStored(connection, session, isClean)
  return session.mayHaveFormer ? session.broker.persistence.endSession(session).then(() => false) : undefined
}

async function openStored(connection: Connection, session: Session, isClean: boolean): Promise<boolean> {
  const { persistence } = session.broker
  const { admission } = session
  const seconds = storedSeconds(session, connection.options.now())
  const opened = await persistence.openSession(session, isClean, seconds, markOf(admission))
  session.epoch = opened.epoch
  // It was ended while this was under way, and found nothing to close.
  if (connection.closed) await persistence.closeSession(session, opened.epoch, seconds)
  if (!opened.isPresent) return false
  for (const messageId of opened.incoming) session.incoming.add(messageId)
  const { access } = admission
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

/** Who comes in a user's name after that was deleted and made anew finds nothing of the former one. */
function markOf({ source, uid, barriers }: Admission): SessionMark {
  const named = (prefix: string): string | undefined =>
    barriers.find((each) => each.startsWith(prefix))?.slice(prefix.length)
  const [provider, apiKey] = [named(ofProvider), named(ofApiKey)]
  return {
    uid,
    isFixed: source.type === 'user',
    ...(provider === undefined ? {} : { provider }),
    ...(apiKey === undefined ? {} : { apiKey }),
  }
}

/** What the organization's record allows now. */
function configure({ options }: Connection, { broker, admission }: Session): void {
  if (broker.configuredBy === admission.organization) return
  broker.configuredBy = admission.organization
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
