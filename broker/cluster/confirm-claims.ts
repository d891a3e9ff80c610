import { setTimeout as pause } from 'node:timers/promises'
import { errorFields, type Log } from '#core/process/logger.ts'
import type { Claim, ClientRegistry } from './client-registry.ts'

interface Claiming {
  readonly closed: boolean
  readonly session?: { readonly claim?: Claim | undefined } | undefined
  /** Its id was taken by a later connection. */
  close(): void
}

const atOnce = 100
const retryMs = 1_000

/**
 * Says again which client ids these connections hold, until the store has taken it; those that have lost theirs
 * in the meantime end.
 */
export async function confirmClaims(
  connections: readonly Claiming[],
  registry: ClientRegistry,
  log: Log,
): Promise<void> {
  for (let at = 0; at < connections.length; at += atOnce) {
    await Promise.all(connections.slice(at, at + atOnce).map((one) => confirm(one, registry, log)))
  }
}

async function confirm(connection: Claiming, registry: ClientRegistry, log: Log): Promise<void> {
  while (!connection.closed) {
    const claim = connection.session?.claim
    if (claim === undefined) return
    try {
      if (!(await registry.confirm(claim))) connection.close()
      // It ended meanwhile, and what it had given back was taken again.
      else if (connection.closed) await registry.leave(claim, { publish: false })
      return
    } catch (error) {
      log.debug(errorFields(error), 'the hold on a client id could not be confirmed')
      await pause(retryMs, undefined, { ref: false })
    }
  }
}
