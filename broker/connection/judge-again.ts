import type { Connection } from './connection.ts'
import type { Session } from './session.ts'
import { grant } from './subscriptions.ts'

/**
 * Judges the open subscriptions of a session by its present access: those that lost their right go, here and
 * in the store; the others are asked for each message, or no longer, as the rules now say.
 */
export async function judgeAgain(connection: Connection, session: Session): Promise<void> {
  const { access } = session.admission
  const lost: string[] = []
  for (const subscription of session.subscriptions.all()) {
    const granted = grant(subscription, access)
    if (granted !== undefined) {
      session.subscriptions.set(granted)
    } else {
      session.subscriptions.delete(subscription.topic)
      lost.push(subscription.topic)
      connection.options.denials.reportSubscription(connection, session, subscription.topic)
    }
  }
  session.delivery.judgeAgain()
  if (lost.length > 0) connection.options.told.changed(connection, session)
  for (const filter of lost) await session.broker.unsubscribe(filter, connection.deliver)
  if (session.epoch !== undefined) await session.broker.persistence.removeSubscriptions(session, lost)
}
