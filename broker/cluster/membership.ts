import type { OrganizationId } from '#core/organizations/organization-id.ts'

/** This replica among the others. */
export interface Membership {
  /** Replicas that hold a lease: those that have to hear of something. This one is among them. */
  live(): Promise<readonly string[]>
  /** Gives the lease back: nobody needs to clean up behind this replica. Call it when all clients are gone. */
  close(): Promise<void>
}

export interface MembershipEvents {
  /**
   * The others may have taken this replica for gone, or the store has forgotten it: what it said of its clients
   * has to be said again.
   */
  lapsed(): void
  /** A replica is gone that had clients of this organization. Several may be told; again does no harm. */
  gone(replica: string, organization: OrganizationId): Promise<void>
}
