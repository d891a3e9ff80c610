import type { Registry } from 'prom-client'
import type { Clock } from '#core/clock.ts'
import { OrganizationLabels } from '#core/metrics/organization-labels.ts'
import { type AuditEvent, type AuditEventName, auditEvents } from './audit-event.ts'
import { AuditCounts } from './audit-counts.ts'
import { FloodGate } from './flood-gate.ts'

/** Where events go. No method throws. */
export interface Audit {
  /** Counts it, and writes it down as far as the level and the flood gate allow: whether it was. */
  record(event: AuditEvent): boolean
  /** Only counts it: whoever reports it has decided that it is not worth a line. */
  count(event: AuditEventName, outcome: string, organization: string | undefined): void
  /** Writes down what was left out so far. */
  flush(): void
}

/** `refusals`: all but what is routine. Events are counted in any case. */
export const auditLevels = ['all', 'refusals', 'off'] as const
export type AuditLevel = (typeof auditLevels)[number]

export type AuditWriter = (event: AuditEvent, message: string) => void

export interface AuditOptions {
  readonly level: AuditLevel
  readonly write: AuditWriter
  /** Hears of all that is written. */
  readonly keep?: ((event: AuditEvent) => void) | undefined
  readonly registry: Registry
  readonly organizationLabels?: OrganizationLabels
  readonly now: Clock
}

export function createAudit({
  level,
  write,
  keep,
  registry,
  now,
  organizationLabels = new OrganizationLabels(),
}: AuditOptions): Audit {
  const counts = new AuditCounts(registry, organizationLabels)
  const line = (event: AuditEvent): void => {
    write(event, auditEvents[event.event].message)
    keep?.(event)
  }
  const gate = new FloodGate({ now, write: line })
  return {
    record(event) {
      counts.add(event.event, 'reason' in event ? event.reason : 'success', event.organization)
      const { nature } = auditEvents[event.event]
      if (level === 'off' || (nature === 'routine' && level === 'refusals')) return false
      if (nature === 'refusal' && !gate.admits(event)) return false
      line(event)
      return true
    },
    count: (event, outcome, organization) => counts.add(event, outcome, organization),
    flush: () => gate.flush(),
  }
}

/** Neither writes nor counts. */
export const silentAudit: Audit = { record: () => false, count() {}, flush() {} }
