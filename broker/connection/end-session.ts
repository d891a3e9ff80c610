import type { Claim, WillFate } from '../cluster/client-registry.ts'
import type { Limits } from '../limits.ts'
import type { Connection } from './connection.ts'
import { endCauses, type EndCause, type EndCauseName } from './end-cause.ts'
import type { Session } from './session.ts'

/**
 * Undoes what a session had: its subscriptions here, its place in aedes, its will, and its stored state when
 * it ends with the connection. Each step runs whatever became of the one before.
 */
export async function endSession(
  connection: Connection,
  session: Session,
  cause: EndCauseName,
): Promise<void> {
  const { broker } = session
  const steps: readonly (() => Promise<unknown> | void)[] = [
    () => unsubscribeAll(connection, session),
    () => broker.unregister(connection),
    () => leaveCluster(connection, session, cause),
    () => session.delivery.close(),
    () => closeStored(session, connection.options.now()),
    () => connection.options.organizations.release(session.admission.organizationId),
  ]
  const failures: unknown[] = []
  for (const step of steps) {
    try {
      const waiting = step()
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

/** [MQTT-3.1.2-23]: the state of a session that has ended is deleted. */
function closeStored(session: Session, now: number): Promise<void> | undefined {
  const { epoch, broker } = session
  return epoch === undefined
    ? undefined
    : broker.persistence.closeSession(session, epoch, storedSeconds(session, now))
}

/** How long what is stored outlives the connection: of somebody who is their credential, no longer than that. */
export function storedSeconds({ expirySeconds, admission }: Session, now: number): number {
  const { principal, expiresAt = Infinity } = admission
  if (!principal.startsWith('tmp:')) return expirySeconds
  return Math.max(0, Math.min(expirySeconds, (expiresAt - now) / 1_000))
}
