import type { Clock } from '#core/clock.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'

const rememberedMs = 3_600_000

/** How many records sweeps have removed in the last hour: what goes little by little is as much as what goes at once. */
export class SweepHistory {
  readonly #now: Clock
  #removals: { readonly organization: OrganizationId; readonly at: number }[] = []

  constructor(now: Clock) {
    this.#now = now
  }

  add(organization: OrganizationId): void {
    this.#removals.push({ organization, at: this.#now() })
  }

  recent(): ReadonlyMap<OrganizationId, number> {
    this.#removals = this.#removals.filter(({ at }) => at > this.#now() - rememberedMs)
    const counts = new Map<OrganizationId, number>()
    for (const { organization } of this.#removals)
      counts.set(organization, (counts.get(organization) ?? 0) + 1)
    return counts
  }
}
