import { Counter, type Registry } from 'prom-client'
import type { OrganizationLabels } from '#core/metrics/organization-labels.ts'
import type { AuditEventName } from './audit-event.ts'

type ByOutcome = Map<string, number>

/**
 * Plain numbers, that become a metric only when somebody asks: whoever floods refusals makes them hot. Labels are names
 * of events, their reasons, and so many organizations.
 */
export class AuditCounts {
  readonly #labels: OrganizationLabels
  readonly #byOrganization = new Map<string, Map<AuditEventName, ByOutcome>>()

  constructor(registry: Registry, labels: OrganizationLabels) {
    this.#labels = labels
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

  add(event: AuditEventName, outcome: string, organization?: string): void {
    const byEvent = this.#of(organization === undefined ? 'none' : this.#labels.of(organization))
    let byOutcome = byEvent.get(event)
    if (byOutcome === undefined) byEvent.set(event, (byOutcome = new Map()))
    byOutcome.set(outcome, (byOutcome.get(outcome) ?? 0) + 1)
  }

  #of(label: string): Map<AuditEventName, ByOutcome> {
    let found = this.#byOrganization.get(label)
    if (found === undefined) this.#byOrganization.set(label, (found = new Map()))
    return found
  }
}
