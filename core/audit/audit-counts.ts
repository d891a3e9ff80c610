import { Counter, type Registry } from 'prom-client'
import type { AuditEventName } from './audit-event.ts'

/** As many organizations as have a label of their own; all after them are `other`. */
const mostOrganizations = 200

type ByOutcome = Map<string, number>

/**
 * Plain numbers, that become a metric only when somebody asks: whoever floods refusals makes them hot. Labels are names
 * of events, their reasons, and so many organizations.
 */
export class AuditCounts {
  readonly #byOrganization = new Map<string, Map<AuditEventName, ByOutcome>>()

  constructor(registry: Registry) {
    const counts = this.#byOrganization
    const counter = new Counter({
      registers: [registry],
      name: 'cloudsignal_audit_events_total',
      help: 'Logins, refusals, ends, denials and what the token service issued, refused and revoked',
      labelNames: ['event', 'outcome', 'organization'],
      collect() {
        counter.reset()
        for (const [organization, byEvent] of counts) {
          for (const [event, byOutcome] of byEvent) {
            for (const [outcome, count] of byOutcome) counter.inc({ event, outcome, organization }, count)
          }
        }
      },
    })
  }

  add(event: AuditEventName, outcome: string, organization = 'none'): void {
    const byEvent = this.#of(organization)
    let byOutcome = byEvent.get(event)
    if (byOutcome === undefined) byEvent.set(event, (byOutcome = new Map()))
    byOutcome.set(outcome, (byOutcome.get(outcome) ?? 0) + 1)
  }

  #of(organization: string): Map<AuditEventName, ByOutcome> {
    const found = this.#byOrganization.get(organization)
    if (found !== undefined) return found
    if (this.#byOrganization.size > mostOrganizations && organization !== 'other') return this.#of('other')
    const made = new Map<AuditEventName, ByOutcome>()
    this.#byOrganization.set(organization, made)
    return made
  }
}
