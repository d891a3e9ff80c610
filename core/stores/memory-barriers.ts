import { type Clock, systemClock } from '#core/clock.ts'
import type { BarrierTarget } from '#core/credentials/barrier.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'

/** Barriers in one process: whoever keeps credentials and whoever ends them have the same. */
export class MemoryBarriers {
  readonly #raised = new Map<string, number>()
  readonly #now: Clock

  constructor(now: Clock = systemClock) {
    this.#now = now
  }

  /** Never goes back, and never ahead of now. */
  raise(organization: OrganizationId, target: BarrierTarget, issuedBefore = Infinity): number {
    const key = `${organization}/${target}`
    const at = Math.max(Math.min(issuedBefore, this.#now()), this.#raised.get(key) ?? 0)
    this.#raised.set(key, at)
    return at
  }

  /** The organization is gone. */
  forgetAll(organization: OrganizationId): void {
    for (const key of this.#raised.keys()) if (key.startsWith(`${organization}/`)) this.#raised.delete(key)
  }

  /** The latest of them; undefined where there is none. */
  latest(organization: OrganizationId, targets: readonly BarrierTarget[]): number | undefined {
    const raised = targets.flatMap((target) => this.#raised.get(`${organization}/${target}`) ?? [])
    return raised.length === 0 ? undefined : Math.max(...raised)
  }
}
