import type { OrganizationId } from '#core/organizations/organization-id.ts'

/**
 * When each user was last let in by a password that is about to end: what brokers know and whoever rotates wants to. For
 * people, to the minute; nothing is decided by it. Rejections as in IdentityReader.
 */
export interface FormerPasswordMarks {
  /** Both in ms since the epoch; the mark is kept for a day longer than the password. */
  mark(organization: OrganizationId, local: string, at: number, passwordEnds: number): Promise<void>
  lastUse(organization: OrganizationId, local: string): Promise<number | undefined>
}

export const keptAfterEndMs = 86_400_000
