import type { X509Certificate } from 'node:crypto'
import type { Message } from '../aedes/messages.ts'
import type { Admission, Basis } from '../admission/admission.ts'
import type { Connection } from '../connection/connection.ts'
import type { Session } from '../connection/session.ts'
import type { ConnectPacket } from '../wire/packets.ts'
import type { ConnectRefusal } from './connect-refusal.ts'

/** A CONNECT on its way through the steps. */
export interface Attempt {
  readonly connection: Connection
  readonly packet: ConnectPacket
  /** As the client says it, or as its certificate does. */
  readonly username: string
  /** What it shows instead of a password. */
  readonly certificate: X509Certificate | undefined
  clientId: string
  will?: Message
  admission?: Admission
  /** What that was decided by. */
  basis: Basis
  session?: Session
  sessionPresent: boolean
  /** What is behind a refusal, for the log. */
  cause?: unknown
}

/** Resolves with why the client is refused; with nothing when the next step may follow. */
export type Step = (attempt: Attempt) => Promise<ConnectRefusal | void> | ConnectRefusal | void
