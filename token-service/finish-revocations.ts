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

/** A process that ended in the middle of a revocation may have been this one. Tries until it could; never rejects. */
export async function finishRevocations({
  identities,
  finish,
  log,
  signal,
  pause = untilRetry,
}: FinishOptions): Promise<void> {
  while (!signal.aborted) {
    try {
      for (const organization of await identities.organizations()) await finish(organization)
      return
    } catch (error) {
      log.debug(errorFields(error), 'revocations could not be finished now')
      await pause(signal)
    }
  }
}

const untilRetry = (signal: AbortSignal): Promise<void> =>
  sleep(retryMs, undefined, { signal, ref: false }).catch(() => {})
