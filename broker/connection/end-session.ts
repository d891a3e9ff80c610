import type { Claim, WillFate } from '../cluster/client-registry.ts'
import type { Limits } from '../limits.ts'
import type { Connection } from './connection.ts'
import { endCauses, type EndCause, type EndCauseName } from './end-cause.ts'
import type { Session } from './session.ts'

type Step = (connection: Connection, session: Session, cause: EndCauseName) => Promise<unknown> | void

const endSteps: readonly Step[] = [
  unsubscribeAll,
  unregister,
  leaveCluster,
  closeDelivery,
  closeStored,
  releaseOrganization,
]

/**
 * Undoes what a session had: its subscriptions here, its place in aedes, its will, and its stored state when
 * it ends with the connection. Each step runs whatever became of the one before.
 */
export async function endSession(
  connection: Connection,
  session: Session,
  cause: EndCauseName,
): Promise<void> {
  const failures: unknown[] = []
  for (const step of endSteps) {
    try {
      const waiting = step(connection, session, cause)
      if (waiting !== undefined) await waiting
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw failures[0]
}

function unsubscribeAll(connection: Connection, session: Session): Promise<void> | undefined {
  return session.subscriptions.size === 0 ? undefined : unsubscribeEach(connection, session)
}

async function unsubscribeEach(connection: Connection, session: Session): Promise<void> {
  for (const { topic } of session.subscriptions.all()) {
    await session.broker.unsubscribe(topic, connection.deliver)
  }
}

function unregister(connection: Connection, { broker }: Session): void {
  broker.unregister(connection)
}

/** Gives the client id back and sees to the will, judged again by the access of now [MQTT-3.1.2-8]. */
export async function leaveCluster(
  { options }: Connection,
  session: Session,
  cause: EndCauseName,
): Promise<void> {
  const { claim, admission, expirySeconds } = session
  if (claim === undefined) return
  session.claim = undefined
  const { will }: EndCause = endCauses[cause]
  const fate = will === 'by-policy' ? admission.organization.willOnExpiry : will
  const due = await options.clients.leave(claim, willFate(claim, fate, expirySeconds, options.limits))
  // By the records of now where what is known here may be too old.
  if (due !== undefined)
    await options.wills.publish(due, options.watch.isStale ? undefined : admission.access)
}

function willFate(
  { arrival }: Claim,
  fate: Exclude<EndCause['will'], 'by-policy'>,
  atMostSeconds: number,
  { deferredWillSeconds: atLeastSeconds }: Limits,
): WillFate {
  if (fate === 'discard' || arrival.will === undefined) return { publish: false }
  return fate === 'publish'
    ? { publish: true, atMostSeconds }
    : { publish: true, atMostSeconds, atLeastSeconds }
}

function closeDelivery(_: Connection, { delivery }: Session): Promise<void> | undefined {
  return delivery.close()
}

/** [MQTT-3.1.2-23]: the state of a session that has ended is deleted. */
function closeStored({ options }: Connection, session: Session): Promise<void> | undefined {
  const { epoch, broker } = session
  return epoch === undefined
    ? undefined
    : broker.persistence.closeSession(session, epoch, storedSeconds(session, options.now()))
}

function releaseOrganization({ options }: Connection, { admission }: Session): void {
  options.organizations.release(admission.organizationId)
}

/** How long what is stored outlives the connection: of somebody who is their credential, no longer than that. */
export function storedSeconds({ expirySeconds, admission }: Session, now: number): number {
  const { principal, expiresAt = Infinity } = admission
  if (!principal.startsWith('tmp:')) return expirySeconds
  return Math.max(0, Math.min(expirySeconds, (expiresAt - now) / 1_000))
}
