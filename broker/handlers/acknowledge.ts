import type { IPubackPacket, IPubcompPacket, IPubrecPacket, IPubrelPacket } from 'mqtt-packet'
import type { Connection } from '../connection/connection.ts'
import type { Session } from '../connection/session.ts'
import { reason } from '../wire/reason-codes.ts'

const firstFailure = 0x80

/** The client has a QoS 1 message. */
export function handlePuback(
  connection: Connection,
  session: Session,
  packet: IPubackPacket,
): Promise<void> | void {
  return acknowledged(connection, session, packet)
}

/** The client has a QoS 2 message, or refuses it, which ends it (MQTT 5 §4.3.3). */
export function handlePubrec(
  connection: Connection,
  session: Session,
  packet: IPubrecPacket,
): Promise<void> | void {
  const messageId = packet.messageId ?? 0
  if (!session.delivery.awaits('pubrec', messageId)) return connection.end('protocol-error')
  if ((packet.reasonCode ?? 0) >= firstFailure) {
    session.delivery.acknowledged(messageId)
    return
  }
  // It answers with PUBREL.
  if (session.delivery.received(messageId)) return
  const code = connection.version < 5 ? {} : { reasonCode: reason.packetIdentifierNotFound }
  connection.send({ cmd: 'pubrel', messageId, ...code })
}

/** The client has released a QoS 2 message of its own [MQTT-4.3.3-11]. */
export async function handlePubrel(
  connection: Connection,
  session: Session,
  packet: IPubrelPacket,
): Promise<void> {
  const messageId = packet.messageId ?? 0
  const isKnown = session.incoming.delete(messageId)
  if (isKnown && session.isStored) await session.broker.persistence.incomingForget(session, messageId)
  connection.send({
    cmd: 'pubcomp',
    messageId,
    ...(isKnown || connection.version < 5 ? {} : { reasonCode: reason.packetIdentifierNotFound }),
  })
}

/** The client has released a QoS 2 message of ours. */
export function handlePubcomp(
  connection: Connection,
  session: Session,
  packet: IPubcompPacket,
): Promise<void> | void {
  return acknowledged(connection, session, packet)
}

/** What acknowledges another kind of message than its packet id stands for is a protocol error. */
function acknowledged(
  connection: Connection,
  { delivery }: Session,
  { cmd, messageId = 0 }: IPubackPacket | IPubcompPacket,
): Promise<void> | void {
  if (!delivery.awaits(cmd, messageId)) return connection.end('protocol-error')
  delivery.acknowledged(messageId)
}
