import type { Message } from '../aedes/messages.ts'
import type { Admission, Basis } from '../admission/admission.ts'
import type { NotArrived } from '../cluster/client-registry.ts'
import { aboutOf } from '../cluster/connection-about.ts'
import type { StoredWill } from '../cluster/stored-will.ts'
import type { Connection } from '../connection/connection.ts'
import { leaveCluster } from '../connection/end-session.ts'
import type { Session } from '../connection/session.ts'
import type { ConnectPacket } from '../wire/packets.ts'

/**
 * The last connection of a client id wins, on every replica [MQTT-3.1.4-3]. Resolves once a former one here is gone
 * and what it wanted said after it is said; this one may have ended by then, for a later one. With why, when it did
 * not get the id: nothing has happened then.
 */
export async function takeOver(
  connection: Connection,
  session: Session,
  basis: Basis,
  isCleanStart: boolean,
  will: StoredWill | undefined,
): Promise<NotArrived | undefined> {
  const { clients, wills } = connection.options
  const { broker, id, admission } = session
  broker.expect(connection)
  const { organizationId: organization } = admission
  const about = aboutOf(connection, admission)
  const arrival = { organization, id, isCleanStart, about, ...(will === undefined ? {} : { will }) }
  const arrived = await clients.arrive(arrival, basis, admission.connections)
  if (typeof arrived === 'string') {
    broker.unregister(connection)
    return arrived
  }
  const { claim, former, mayHaveSession, isElsewhere } = arrived
  session.claim = claim
  session.mayHaveFormer = mayHaveSession
  if (isElsewhere) broker.tellClaim(id, claim.epoch)
  // It ended while its claim was under way, and had nothing to give back.
  if (connection.closed) await leaveCluster(connection, session, 'refused')
  else if (!(await broker.register(connection, claim.epoch))) connection.close()
  if (former !== undefined) await wills.publish(former)
  return undefined
}

/** What is kept of a will, for whoever has to publish it. */
export function storedWill(
  message: Message,
  { source, uid, policy, attributes }: Admission,
  { packet, clientId, expirySeconds }: { packet: ConnectPacket; clientId: string; expirySeconds: number },
): StoredWill {
  // MQTT 5 §3.1.3.2.2: it waits no longer than the session does.
  const delaySeconds = Math.min(packet.will?.properties?.willDelayInterval ?? 0, expirySeconds)
  const standing = source.type === 'credential' ? { standing: { policy, attributes } } : {}
  return { message, author: { source, uid, clientId, ...standing }, delaySeconds }
}
