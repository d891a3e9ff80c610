import type { AuditEvent, AuditNature } from '#core/audit/audit-event.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'

/** An event with when it was, by the clock of the process (RFC 3339), and which program saw it. */
export type KeptEvent = AuditEvent & { readonly time: string; readonly program: string }

/** Where in the trail an event is: opaque, and in the order of the trail only to who keeps it. */
export type TrailPosition = `${number}-${number}.${number}`

export interface TrailQuery {
  /** Those of the other natures are not read. */
  readonly natures: readonly AuditNature[]
  /** Behind this event: before it in time. */
  readonly before?: TrailPosition
  /** Whole ms since the epoch, both included. */
  readonly since?: number
  readonly until?: number
  readonly limit: number
}

export interface TrailPage {
  readonly events: readonly { readonly position: TrailPosition; readonly event: KeptEvent }[]
  /** Given as `before` for the next page; absent on the last one. */
  readonly next?: TrailPosition
}

/** What is read of the audit events of an organization, the latest first. Rejects with `store-unavailable`. */
export interface AuditTrailReader {
  read(organization: OrganizationId, query: TrailQuery): Promise<TrailPage>
}

export interface TrailBounds {
  /** Of one nature and organization: what is routine never displaces a revocation, nor does a flood of refusals. */
  readonly events: number
  readonly hours: number
}

export const defaultTrailBounds: TrailBounds = { events: 500, hours: 168 }

/**
 * The latest audit events of each organization: so many and for so long as the bounds say, which are met when the next one
 * comes, or by ending. Rejects with `store-unavailable`.
 */
export interface AuditTrail extends AuditTrailReader {
  append(organization: OrganizationId, nature: AuditNature, events: readonly KeptEvent[]): Promise<void>
}
