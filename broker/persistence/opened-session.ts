import type { OpenedSession } from './session-persistence.ts'
import { subscriptionsOf } from './known-subscriptions.ts'

/** As the script `openSession` answers. */
type Answer = [ended: number, present: number, epoch: number, ...content: Buffer[][]]

export interface Opening {
  /** Number of the change that ended a former one, or 0. */
  readonly ended: number
  readonly opened: OpenedSession
  /** Members of groups that were given what the former one had. */
  readonly moved: readonly string[]
}

export function openedSession(answer: unknown): Opening {
  const [ended, present, epoch, session = [], incoming = [], sent = [], moved = []] = answer as Answer
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
  return { ended, opened, moved: moved.map(String) }
}

function recordOf(pairs: readonly Buffer[]): Record<string, string> {
  const record: Record<string, string> = Object.create(null)
  for (let at = 0; at + 1 < pairs.length; at += 2) record[String(pairs[at])] = String(pairs[at + 1])
  return record
}
