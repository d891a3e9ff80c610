import type { AuditEvent } from '#core/audit/audit-event.ts'
import type { Connection } from '../connection/connection.ts'
import type { EndCauseName } from '../connection/end-cause.ts'
import type { Session } from '../connection/session.ts'
import type { EarlyEnd } from '../handlers/connect-refusal.ts'
import { clientFields, peerFields } from './audited-client.ts'

type Ended = 'client.taken-over' | 'client.expired' | 'client.revoked'

const ownEvents: Partial<Record<EndCauseName, Ended>> = {
  'taken-over': 'client.taken-over',
  expired: 'client.expired',
  revoked: 'client.revoked',
}

const earlyEnds: ReadonlySet<EndCauseName> = new Set<EndCauseName & EarlyEnd>([
  'malformed-packet',
  'protocol-error',
  'packet-too-large',
  'connect-timeout',
])

/**
 * A connection is over: of one that was let in, or that lost its right on its way in. Others were refused, and that was
 * reported, or only knocked.
 */
export function reportEnd(connection: Connection, session: Session | undefined, cause: EndCauseName): void {
  const event = session === undefined ? undefined : endOf(connection, session, cause)
  if (event !== undefined) connection.options.audit.record(event)
  else if (!connection.isLetIn && earlyEnds.has(cause)) reportEarlyEnd(connection, cause as EarlyEnd)
}

function endOf(connection: Connection, session: Session, cause: EndCauseName): AuditEvent | undefined {
  const event = ownEvents[cause]
  const isLost = cause === 'expired' || cause === 'revoked'
  if (!connection.isLetIn && !isLost) return undefined
  const fields = clientFields(connection, session)
  return event === undefined
    ? { event: 'client.disconnected', ...fields, reason: cause }
    : { event, ...fields }
}

function reportEarlyEnd(connection: Connection, reason: EarlyEnd): void {
  const { metrics, audit } = connection.options
  metrics.refused(reason)
  const { address, protocol } = peerFields(connection)
  audit.record({ event: 'client.refused', address, protocol, reason })
}
