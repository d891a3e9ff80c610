import { reason, type ReasonCode } from '../wire/reason-codes.ts'

/**
 * Why a connection ends: what an MQTT 5 client is told in DISCONNECT (nothing where it is gone or has said
 * goodbye itself), and what becomes of its will.
 */
export interface EndCause {
  readonly code?: ReasonCode
  readonly will: 'publish' | 'discard' | 'by-policy' | 'defer'
}

export const endCauses = {
  /** DISCONNECT with reason 0 [MQTT-3.14.4-3] */
  disconnected: { will: 'discard' },
  /** DISCONNECT with reason 4 */
  'disconnected-with-will': { will: 'publish' },
  'connection-lost': { will: 'publish' },
  'malformed-packet': { code: reason.malformedPacket, will: 'publish' },
  'protocol-error': { code: reason.protocolError, will: 'publish' },
  'packet-too-large': { code: reason.packetTooLarge, will: 'publish' },
  'topic-alias': { code: reason.topicAliasInvalid, will: 'publish' },
  'receive-maximum': { code: reason.receiveMaximumExceeded, will: 'publish' },
  'keep-alive': { code: reason.keepAliveTimeout, will: 'publish' },
  'taken-over': { code: reason.sessionTakenOver, will: 'publish' },
  /** the client does not read what is sent to it */
  'too-slow': { code: reason.quotaExceeded, will: 'publish' },
  /** it publishes more than it could ever be allowed to */
  'rate-exceeded': { code: reason.quotaExceeded, will: 'publish' },
  /** the credential's time is over */
  expired: { code: reason.maximumConnectTime, will: 'by-policy' },
  /** the credential, the user or the organization was taken away */
  revoked: { code: reason.administrativeAction, will: 'by-policy' },
  /** the session was ended by whoever runs the organization */
  ended: { code: reason.administrativeAction, will: 'publish' },
  /** the store did not answer: better to come back than to be half served */
  unavailable: { code: reason.serverBusy, will: 'publish' },
  /** this replica goes; clients come back on another one, and those that do are not gone */
  'shutting-down': { code: reason.serverShuttingDown, will: 'defer' },
  /** never got past CONNECT */
  refused: { will: 'discard' },
  'connect-timeout': { will: 'discard' },
} as const satisfies Record<string, EndCause>

export type EndCauseName = keyof typeof endCauses
