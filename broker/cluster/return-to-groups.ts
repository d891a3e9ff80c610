import { setTimeout as pause } from 'node:timers/promises'
import { errorFields, type Log } from '#core/process/logger.ts'
import type { EndCauseName } from '../connection/end-cause.ts'
import type { Session } from '../connection/session.ts'

interface Member {
  readonly closed: boolean
  readonly session: Session | undefined
  end(cause: EndCauseName): Promise<void>
}

const retryMs = 1_000

/**
 * The others may have taken this replica for gone: members of groups among its connections take their places again,
 * once the store answers. One whose session was ended meanwhile is sent away, to come back.
 */
export async function returnToGroups(connections: readonly Member[], log: Log): Promise<void> {
  await Promise.all(connections.map((one) => returnOne(one, log)))
}

async function returnOne(connection: Member, log: Log): Promise<void> {
  while (!connection.closed) {
    const { session } = connection
    if (session?.epoch === undefined || !session.subscriptions.hasShared) return
    try {
      const isBack = await session.broker.persistence.returnToGroups(session, session.epoch)
      if (!isBack) await connection.end('unavailable')
      return
    } catch (error) {
      log.debug(errorFields(error), 'a member could not return to its groups')
      await pause(retryMs, undefined, { ref: false })
    }
  }
}
