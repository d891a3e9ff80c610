import { setTimeout as sleep } from 'node:timers/promises'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { errorFields, type Log } from '#core/process/logger.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'

const retryMs = 5_000

export interface FinishOptions {
  readonly identities: Pick<IdentityReader, 'organizations'>
  readonly finish: (organization: OrganizationId) => Promise<void>
  readonly log: Log
  readonly signal: AbortSignal
  /** A test's own does not wait. */
  readonly pause?: (signal: AbortSignal) => Promise<void>
}

/**
 * A process that ended in the middle of a revocation may have been this one. Tries until it could, each organization for
 * itself: one whose part of the store is away, or damaged, holds up no other. Never rejects.
 */
export async function finishRevocations({
  identities,
  finish,
  log,
  signal,
  pause = untilRetry,
}: FinishOptions): Promise<void> {
  const tell = (error: unknown): void =>
    log.debug(errorFields(error), 'revocations could not be finished now')
  let left: Set<OrganizationId> | undefined
  while (!signal.aborted) {
    try {
      left ??= new Set(await identities.organizations())
    } catch (error) {
      tell(error)
    }
    for (const organization of left ?? []) {
      if (signal.aborted) return
      await finish(organization).then(() => left?.delete(organization), tell)
    }
    if (left?.size === 0) return
    await pause(signal)
  }
}

const untilRetry = (signal: AbortSignal): Promise<void> =>
  sleep(retryMs, undefined, { signal, ref: false }).catch(() => {})
