import type { OrganizationId } from '#core/organizations/organization-id.ts'

/**
 * When each API key was last used: the token service notes it once an hour, the operator shows it. For people who look
 * for keys that nobody needs any more; nothing is decided by it. Rejections as in IdentityReader.
 */
export interface ApiKeyUses {
  /** By the key's uid, so that another one of the same name begins anew; in ms since the epoch. */
  note(organization: OrganizationId, uid: string, at: number): Promise<void>
  lastUse(organization: OrganizationId, uid: string): Promise<number | undefined>
}

/** Longer than any operator is away: what it has once shown stays in the key's status. */
export const useKeptMs = 30 * 86_400_000
