import type { Registry } from 'prom-client'
import { type Clock, systemClock } from '#core/clock.ts'
import { OrganizationLabels } from '#core/metrics/organization-labels.ts'
import type { AuditTrailReader } from '#core/stores/audit-trail.ts'
import { RedisAuditTrail } from '#core/stores/redis-audit-trail.ts'
import type { RedisConnection } from '#core/stores/redis-connection.ts'
import type { RedisKeys } from '#core/stores/redis-keys.ts'
import { type Audit, type AuditLevel, createAudit } from './audit.ts'
import { AuditKeeper } from './audit-keeper.ts'
import { createAuditLines } from './audit-lines.ts'

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
  readonly audit: Audit & {
    /** Before Redis is closed. */
    close(): Promise<void>
  }
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
  const keeper =
    bounds.events === 0
      ? undefined
      : new AuditKeeper({ program, trail: auditTrail, now: systemClock, registry })
  const audit = createAudit({
    level: settings.audit,
    write: createAuditLines(program, registry),
    ...(keeper === undefined ? {} : { keep: (event) => keeper.keep(event) }),
    registry,
    organizationLabels,
    now: systemClock,
  })
  const close = async (): Promise<void> => {
    audit.flush()
    await keeper?.flush()
  }
  return { audit: { ...audit, close }, auditTrail, organizationLabels }
}
