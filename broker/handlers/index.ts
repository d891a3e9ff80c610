import type { Connection } from '../connection/connection.ts'
import type { Session } from '../connection/session.ts'
import type { IncomingPacket } from '../wire/packets.ts'
import { handlePuback, handlePubcomp, handlePubrec, handlePubrel } from './acknowledge.ts'
import { handleDisconnect } from './disconnect.ts'
import { handlePingreq } from './pingreq.ts'
import { handlePublish } from './publish.ts'
import { handleSubscribe } from './subscribe.ts'
import { handleUnsubscribe } from './unsubscribe.ts'

/** Handles one packet of an open connection. A promise holds the next packet back; a rejection ends the connection. */
export type Handler<P extends IncomingPacket = IncomingPacket> = (
  connection: Connection,
  session: Session,
  packet: P,
) => Promise<void> | void

/** By packet type. What is not here is a protocol error: a second CONNECT, AUTH, and what only brokers send. */
export const handlers: Readonly<Partial<Record<IncomingPacket['cmd'], Handler<never>>>> = {
  publish: handlePublish,
  puback: handlePuback,
  pubrec: handlePubrec,
  pubrel: handlePubrel,
  pubcomp: handlePubcomp,
  subscribe: handleSubscribe,
  unsubscribe: handleUnsubscribe,
  pingreq: handlePingreq,
  disconnect: handleDisconnect,
}
