import type { OrganizationAedes } from '../aedes/organization-aedes.ts'
import type { Admission } from '../admission/admission.ts'
import { Delivery } from '../connection/delivery.ts'
import { PublishRate } from '../connection/publish-rate.ts'
import { PublishWindow } from '../connection/publish-window.ts'
import type { Session } from '../connection/session.ts'
import { Subscriptions } from '../connection/subscriptions.ts'
import type { Attempt } from './connect-attempt.ts'
import { sessionExpiry } from './resume-session.ts'

const largestReceiveMaximum = 65_535

/** What the connection is, once it is let in: nothing of it is in a store yet. */
export function createSession(
  { connection, packet }: Attempt,
  admission: Admission,
  broker: OrganizationAedes,
  clientId: string,
): Session {
  const id = `${admission.principal}/${clientId}`
  const expirySeconds = sessionExpiry(packet, admission.organization.sessionMaxExpiry)
  const isStored = !(packet.clean === true && expirySeconds === 0)
  const subscriptions = new Subscriptions()
  const session: Session = {
    id,
    clientId,
    version: packet.protocolVersion,
    broker,
    subscriptions,
    rate: new PublishRate(),
    publishing: new PublishWindow(connection.options.limits.maxPublishing),
    incoming: new Set(),
    refreshedAt: -Infinity,
    admission,
    claim: undefined,
    mayHaveFormer: true,
    isStored,
    expirySeconds,
    epoch: undefined,
    delivery: new Delivery({
      target: connection,
      limits: connection.options.limits,
      receiveMaximum: packet.properties?.receiveMaximum ?? largestReceiveMaximum,
      metrics: connection.options.metrics,
      termsFor: (message, group) =>
        group === undefined
          ? subscriptions.termsFor(message, id, session.admission.access)
          : subscriptions.termsForGroup(message, group, session.admission.access),
      ...(isStored ? { queue: { persistence: broker.persistence, owner: { id } } } : {}),
    }),
  }
  session.rate.limit(admission.rates)
  return session
}
