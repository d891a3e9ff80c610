import { hash } from 'node:crypto'
import type { ProviderRecord } from '#core/identity/provider-record.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { CredentialStore } from '#core/stores/credential-store.ts'
import type { Marks } from '#core/stores/marks.ts'
import { TokenRefused } from '../verifier/token-refused.ts'
import type { ProvenIdentity } from './identify.ts'

/** Sessions of identity providers that have ended, where webhooks tell of it: their identity tokens are worth nothing. */
export class EndedSessions {
  readonly #marks: Marks

  constructor(marks: Marks) {
    this.#marks = marks
  }

  async end(organization: OrganizationId, issuer: string, session: string, seconds: number): Promise<void> {
    await this.#marks.put(organization, nameOf(issuer, session), seconds)
  }

  /**
   * As `check`, for a credential that was just issued: it may have come too late for who ended the session to find it, and
   * ends then too.
   */
  async checkIssued(
    credentials: CredentialStore,
    organization: OrganizationId,
    proven: ProvenIdentity,
    id: string,
  ): Promise<void> {
    await this.check(organization, proven).catch(async (error: unknown) => {
      await credentials.revoke(organization, id)
      throw error
    })
  }

  /** Rejects with TokenRefused when the session has ended. */
  async check(organization: OrganizationId, proven: ProvenIdentity): Promise<void> {
    const { record, identity } = proven
    // Without webhooks nothing is known of sessions, and nothing has to be asked.
    if (!hasWebhooks(record) || identity.sessionId === undefined) return
    const name = nameOf(identity.issuer, identity.sessionId)
    if (!(await this.#marks.has(organization, name))) return
    throw new TokenRefused('session_ended', 'the session of the token has ended')
  }
}

function hasWebhooks({ secrets }: ProviderRecord): boolean {
  return secrets?.['webhook'] !== undefined
}

/** Ids of sessions are the provider's, and may be long. */
function nameOf(issuer: string, session: string): string {
  return `session:${hash('sha256', JSON.stringify([issuer, session]), 'base64url')}`
}
