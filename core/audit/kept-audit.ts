import type { AuditTrail } from '#core/stores/audit-trail.ts'
import { type Audit, type AuditOptions, createAudit } from './audit.ts'
import { AuditKeeper } from './audit-keeper.ts'

export interface KeptAudit extends Audit {
  /** What is still held back is written, and all is kept: before the store of the trail is closed. */
  close(): Promise<void>
}

/** An audit of a program that brings what it writes into a trail as well, where there is one. */
export function createKeptAudit(
  program: string,
  trail: AuditTrail | undefined,
  options: Omit<AuditOptions, 'keep'>,
): KeptAudit {
  const { now, registry } = options
  const keeper = trail && new AuditKeeper({ program, trail, now, registry })
  const audit = createAudit({ ...options, keep: keeper && ((event) => keeper.keep(event)) })
  return {
    ...audit,
    async close() {
      audit.flush()
      await keeper?.flush()
    },
  }
}
