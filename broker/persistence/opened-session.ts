import type { OpenedSession } from './session-persistence.ts'
import { subscriptionsOf } from './shared-subscriptions.ts'

/** As the script `openSession` answers. */
type Answer = [ended: number, present: number, epoch: number, ...content: Buffer[][]]

/** With the number of the change that ended a former one, or 0. */
export function openedSession(answer: unknown): { readonly ended: number; readonly opened: OpenedSession } {
  const [ended, present, epoch, session = [], incoming = [], sent = []] = answer as Answer
  const opened = {
    isPresent: present === 1,
    epoch: String(epoch),
    subscriptions: subscriptionsOf(recordOf(session)),
    incoming: incoming.map(Number),
    sent: Object.entries(recordOf(sent)).map(([name, id]) => ({
      name,
      messageId: Number.parseInt(id, 10),
    })),
  }
  return { ended, opened }
}

function recordOf(pairs: readonly Buffer[]): Record<string, string> {
  const record: Record<string, string> = Object.create(null)
  for (let at = 0; at + 1 < pairs.length; at += 2) record[String(pairs[at])] = String(pairs[at + 1])
  return record
}
