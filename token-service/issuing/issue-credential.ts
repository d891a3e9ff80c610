import type { CredentialRecord, IssuedCredential } from '#core/credentials/credential-record.ts'
import { randomName } from '#core/credentials/random.ts'
import { generateSecret } from '#core/credentials/secret.ts'
import { formatUsername, temporaryPrefix } from '#core/credentials/username.ts'
import { verifierOfGenerated } from '#core/credentials/verifier.ts'
import { isDomainError } from '#core/errors.ts'
import { type Principal, temporaryPrincipal } from '#core/identity/principal.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { TokenRefused } from '../verifier/token-refused.ts'
import type { CredentialStore, IssueBounds } from '#core/stores/credential-store.ts'

/** What a credential is made of, before it has a name and a password. */
export interface CredentialGrant extends Omit<CredentialRecord, 'verifier' | 'principal'> {
  /** Absent: the credential stands for nobody but itself. */
  readonly principal?: Principal
}

export interface NewCredential {
  /** Local part of the username, and the id by which it is revoked. */
  readonly id: string
  readonly username: string
  /** Shown once; only its verifier is kept. */
  readonly password: string
  readonly issued: IssuedCredential
}

const mostAttempts = 3

/** Gives a grant a name and a password and stores it. The way of every temporary credential. */
export async function issueCredential(
  credentials: CredentialStore,
  organization: OrganizationId,
  grant: CredentialGrant,
  ttlSeconds: number,
  bounds: IssueBounds = {},
): Promise<NewCredential> {
  for (let attempt = 1; ; attempt++) {
    const id = temporaryPrefix + randomName(20)
    const username = formatUsername({ local: id, organization })
    const password = generateSecret('mp')
    const verifier = verifierOfGenerated(password, { kind: 'temporary', name: username })
    const record = { ...grant, principal: grant.principal ?? temporaryPrincipal(id), verifier }
    try {
      const issued = await credentials.create(organization, id, record, ttlSeconds, bounds)
      return { id, username, password, issued }
    } catch (error) {
      if (isDomainError(error, 'behind-barrier')) {
        throw new TokenRefused('token_revoked', 'the token was issued before a revocation')
      }
      // 103 random bits that are taken: chance once, a defect three times.
      if (!isDomainError(error, 'credential-exists') || attempt === mostAttempts) throw error
    }
  }
}
