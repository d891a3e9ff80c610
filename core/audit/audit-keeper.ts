import { Counter, type Registry } from 'prom-client'
import type { Clock } from '#core/clock.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { AuditTrail, KeptEvent } from '#core/stores/audit-trail.ts'
import { type AuditEvent, type AuditNature, auditEvents, auditNatures } from './audit-event.ts'

export interface AuditKeeperOptions {
  readonly program: string
  readonly trail: AuditTrail
  readonly now: Clock
  readonly registry: Registry
  readonly gatherMs?: number
}

const defaultGatherMs = 500
/** Of a moment. What is beyond stands in the log only: a storm of logins does not become one of writes. */
const mostGathered: Readonly<Record<AuditNature, number>> = { routine: 200, ending: 1_000, refusal: 500 }

/**
 * Brings events into the trail beside the work that they are of: those of a moment together, nobody waits for it, and a
 * store that is away costs the events alone. Events that belong to no organization are nobody's to read.
 */
export class AuditKeeper {
  readonly #options: AuditKeeperOptions
  readonly #gathered: Record<AuditNature, Map<OrganizationId, KeptEvent[]>> = {
    routine: new Map(),
    ending: new Map(),
    refusal: new Map(),
  }
  readonly #count: Record<AuditNature, number> = { routine: 0, ending: 0, refusal: 0 }
  readonly #lost: Counter<'cause'>
  #tooMany = 0
  #timer: NodeJS.Timeout | undefined
  #writing: Promise<void> = Promise.resolve()

  constructor(options: AuditKeeperOptions) {
    this.#options = options
    this.#lost = new Counter({
      registers: [options.registry],
      name: 'cloudsignal_audit_events_not_kept_total',
      help: 'Audit events that GET /v1/audit does not know of, because there were too many at once or Redis was away',
      labelNames: ['cause'],
    })
    for (const cause of ['too-many', 'unavailable']) this.#lost.inc({ cause }, 0)
  }

  keep(event: AuditEvent): void {
    const { nature } = auditEvents[event.event]
    if (event.organization === undefined) return
    if (this.#count[nature] >= mostGathered[nature]) {
      // Two of a connection in a storm of them: counted where it costs nothing.
      this.#tooMany += 1
      return
    }
    this.#count[nature] += 1
    const { program, now, gatherMs = defaultGatherMs } = this.#options
    const kept = { ...event, time: new Date(now()).toISOString(), program }
    const organization = event.organization as OrganizationId
    const others = this.#gathered[nature].get(organization)
    if (others === undefined) this.#gathered[nature].set(organization, [kept])
    else others.push(kept)
    this.#timer ??= setTimeout(() => this.#write(), gatherMs).unref()
  }

  /** Resolves once all that was kept so far is there, or lost. */
  flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#write()
    return this.#writing
  }

  /** One moment after the other: a store that is slow gets no more to do for it. */
  #write(): void {
    this.#timer = undefined
    this.#writing = this.#writing.then(() => this.#writeAll())
  }

  async #writeAll(): Promise<void> {
    this.#lost.inc({ cause: 'too-many' }, this.#tooMany)
    this.#tooMany = 0
    const appended = auditNatures.flatMap((nature) => {
      const gathered = [...this.#gathered[nature]]
      this.#gathered[nature].clear()
      this.#count[nature] = 0
      return gathered.map(([organization, events]) => this.#append(organization, nature, events))
    })
    await Promise.all(appended)
  }

  async #append(
    organization: OrganizationId,
    nature: AuditNature,
    events: readonly KeptEvent[],
  ): Promise<void> {
    try {
      await this.#options.trail.append(organization, nature, events)
    } catch {
      this.#lost.inc({ cause: 'unavailable' }, events.length)
    }
  }
}
