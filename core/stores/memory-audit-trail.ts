import type { AuditNature } from '#core/audit/audit-event.ts'
import type { Clock } from '#core/clock.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { AuditTrail, KeptEvent, TrailBounds, TrailPage, TrailQuery } from './audit-trail.ts'
import { latestFirst, pageOf, placeOf, type PlacedEvent } from './trail-order.ts'

/** The same contract in one process. */
export class MemoryAuditTrail implements AuditTrail {
  readonly #streams = new Map<string, PlacedEvent[]>()
  readonly #bounds: TrailBounds
  readonly #now: Clock
  #number = 0

  constructor(bounds: TrailBounds, now: Clock) {
    this.#bounds = bounds
    this.#now = now
  }

  async append(
    organization: OrganizationId,
    nature: AuditNature,
    events: readonly KeptEvent[],
  ): Promise<void> {
    const ms = this.#now()
    const more = events.map((event): PlacedEvent => ({ ms, number: (this.#number += 1), nature, event }))
    const key = `${organization}/${nature}`
    const kept = [...(this.#streams.get(key) ?? []), ...more].filter((each) => each.ms >= this.#oldest())
    this.#streams.set(key, kept.slice(-this.#bounds.events))
  }

  async read(organization: OrganizationId, query: TrailQuery): Promise<TrailPage> {
    const { natures, before, since = 0, until = Infinity, limit } = query
    const place = before === undefined ? undefined : placeOf(before)
    const found = natures
      .flatMap((nature) => this.#streams.get(`${organization}/${nature}`) ?? [])
      .filter(({ ms }) => ms >= Math.max(since, this.#oldest()) && ms <= until)
      .filter((each) => place === undefined || latestFirst(place, each) < 0)
    return pageOf(found, limit)
  }

  /** The organization is gone. */
  forgetAll(organization: OrganizationId): void {
    for (const key of this.#streams.keys()) if (key.startsWith(`${organization}/`)) this.#streams.delete(key)
  }

  #oldest(): number {
    return this.#now() - this.#bounds.hours * 3_600_000
  }
}
