import type { Connection } from '../connection/connection.ts'
import type { Session } from '../connection/session.ts'
import type { UnsubscribePacket } from '../wire/parse-packet.ts'
import { reason } from '../wire/reason-codes.ts'

/** [MQTT-3.10.4-1] to [MQTT-3.10.4-6] */
export async function handleUnsubscribe(
  connection: Connection,
  session: Session,
  packet: UnsubscribePacket,
): Promise<void> {
  const codes: number[] = []
  const removed: string[] = []
  for (const filter of packet.unsubscriptions) {
    const wasThere = session.subscriptions.delete(filter)
    codes.push(wasThere ? reason.success : reason.noSubscriptionExisted)
    if (!wasThere) continue
    removed.push(filter)
    await session.broker.unsubscribe(filter, connection.deliver)
  }
  if (session.epoch !== undefined) await session.broker.persistence.removeSubscriptions(session, removed)
  if (removed.length > 0) connection.options.told.changed(connection, session)
  connection.send({ cmd: 'unsuback', messageId: packet.messageId, granted: codes })
}
