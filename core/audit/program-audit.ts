import type { Registry } from 'prom-client'
import { type Clock, systemClock } from '#core/clock.ts'
import { OrganizationLabels } from '#core/metrics/organization-labels.ts'
import type { AuditTrailReader } from '#core/stores/audit-trail.ts'
import { RedisAuditTrail } from '#core/stores/redis-audit-trail.ts'
import type { RedisConnection } from '#core/stores/redis-connection.ts'
import type { RedisKeys } from '#core/stores/redis-keys.ts'
import type { AuditLevel } from './audit.ts'
import { createAuditLines } from './audit-lines.ts'
import { createKeptAudit, type KeptAudit } from './kept-audit.ts'

export interface ProgramAuditOptions {
  readonly settings: {
    readonly audit: AuditLevel
    readonly auditKept: number
    readonly auditKeptHours: number
    readonly metricsOrganizations: number
  }
  readonly redis: RedisConnection
  readonly keys: RedisKeys
  /** Of Redis. */
  readonly now: Clock
  readonly registry: Registry
}

export interface ProgramAudit {
  readonly audit: KeptAudit
  readonly auditTrail: AuditTrailReader
  readonly organizationLabels: OrganizationLabels
}

/** The audit of a program: lines on standard output, counters, and what is kept for GET /v1/audit. */
export function openAudit(
  program: string,
  { settings, redis, keys, now, registry }: ProgramAuditOptions,
): ProgramAudit {
  const organizationLabels = new OrganizationLabels(settings.metricsOrganizations)
  const bounds = { events: settings.auditKept, hours: settings.auditKeptHours }
  const auditTrail = new RedisAuditTrail(redis, keys, bounds, now)
  const audit = createKeptAudit(program, bounds.events === 0 ? undefined : auditTrail, {
    level: settings.audit,
    write: createAuditLines(program, registry),
    registry,
    organizationLabels,
    now: systemClock,
  })
  return { audit, auditTrail, organizationLabels }
}
