import type { OrganizationId } from '#core/organizations/organization-id.ts'

/**
 * What the token service has seen, and knows for a while: that something has been, and nothing else of it. Each ends by
 * itself. Rejections as in IdentityReader.
 */
export interface Marks {
  /** Again for so long, if it is there. */
  put(organization: OrganizationId, name: string, seconds: number): Promise<void>
  has(organization: OrganizationId, name: string): Promise<boolean>
}
