import type { Connection } from './connection.ts'
import type { Session } from './session.ts'

/**
 * Judges the open subscriptions of a session by its present access: those that lost their right go, here and
 * in the store; the others are asked for each message, or no longer, as the rules now say.
 */
export async function judgeAgain(connection: Connection, session: Session): Promise<void> {
  const { access } = session.admission
  const lost: string[] = []
  for (const subscription of session.subscriptions.all()) {
    const { topic } = subscription
    const verdict = access.subscribe(topic)
    if (!verdict.allowed) {
      session.subscriptions.delete(topic)
      lost.push(topic)
      continue
    }
    const qos = Math.min(subscription.qos, verdict.maxQos) as 0 | 1 | 2
    session.subscriptions.set({ ...subscription, qos, checkDelivery: access.checkDelivery(topic) })
  }
  session.delivery.judgeAgain()
  for (const filter of lost) await session.broker.unsubscribe(filter, connection.deliver)
  if (session.isStored) await session.broker.persistence.removeSubscriptions(session, lost)
}
