import type { CredentialRecord, IssuedCredential } from '#core/credentials/credential-record.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'

/**
 * Temporary credentials, by organization and local part of the username. The token service writes them, the
 * broker reads them. Times are the store's own, so that a wrong clock on one machine lengthens no life.
 *
 * Rejections as in IdentityReader.
 */
export interface CredentialReader {
  /** Undefined from `expiresAt` on, and after revocation. */
  get(organization: OrganizationId, local: string): Promise<IssuedCredential | undefined>
}

export interface CredentialStore extends CredentialReader {
  /** Never overwrites: rejects with `credential-exists` when the local part is taken. */
  create(
    organization: OrganizationId,
    local: string,
    record: CredentialRecord,
    ttlSeconds: number,
  ): Promise<IssuedCredential>

  /** Ends it now and says so in the control log, also when it was gone already. Resolves with whether it was there. */
  revoke(organization: OrganizationId, local: string): Promise<boolean>
}
