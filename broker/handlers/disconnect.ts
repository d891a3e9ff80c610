import type { Connection } from '../connection/connection.ts'
import type { Session } from '../connection/session.ts'
import type { DisconnectPacket } from '../wire/parse-packet.ts'
import { reason } from '../wire/reason-codes.ts'

/** The client says goodbye, with its will or without. */
export async function handleDisconnect(
  connection: Connection,
  session: Session,
  packet: DisconnectPacket,
): Promise<void> {
  const expiry = packet.properties?.sessionExpiryInterval
  if (expiry !== undefined) {
    // MQTT 5 §3.14.2.2.2: one that was zero at CONNECT stays zero.
    if (session.expirySeconds === 0 && expiry > 0) return connection.end('protocol-error')
    session.expirySeconds = Math.min(expiry, session.admission.organization.sessionMaxExpiry)
  }
  // [MQTT-3.14.4-3]: only a normal disconnection forgets the will. Nobody reads an answer to any other code.
  const isNormal = (packet.reasonCode ?? reason.success) === reason.success
  await connection.end(isNormal ? 'disconnected' : 'disconnected-with-will')
}
