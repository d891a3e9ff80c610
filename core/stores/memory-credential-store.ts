import type { Clock } from '#core/clock.ts'
import type { CredentialRecord, IssuedCredential } from '#core/credentials/credential-record.ts'
import { DomainError } from '#core/errors.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { ControlLogWriter } from './control-log.ts'
import type { CredentialStore } from './credential-store.ts'

/** The same contract in one process. What has expired is dropped when it is met, and at each creation. */
export class MemoryCredentialStore implements CredentialStore {
  readonly #credentials = new Map<string, IssuedCredential>()
  readonly #log: ControlLogWriter
  readonly #now: Clock

  constructor(log: ControlLogWriter, now: Clock) {
    this.#log = log
    this.#now = now
  }

  async get(organization: OrganizationId, local: string): Promise<IssuedCredential | undefined> {
    const credential = this.#credentials.get(`${organization}/${local}`)
    return credential !== undefined && credential.expiresAt > this.#now()
      ? structuredClone(credential)
      : undefined
  }

  async create(
    organization: OrganizationId,
    local: string,
    record: CredentialRecord,
    ttlSeconds: number,
  ): Promise<IssuedCredential> {
    this.#dropExpired()
    const key = `${organization}/${local}`
    if (this.#credentials.has(key)) {
      throw new DomainError('credential-exists', 'the username of the new credential is taken')
    }
    const issuedAt = this.#now()
    const credential = structuredClone({ ...record, issuedAt, expiresAt: issuedAt + ttlSeconds * 1000 })
    this.#credentials.set(key, credential)
    return structuredClone(credential)
  }

  async revoke(organization: OrganizationId, local: string): Promise<boolean> {
    this.#dropExpired()
    const removed = this.#credentials.delete(`${organization}/${local}`)
    await this.#log.append({ type: 'credential', organization, name: local })
    return removed
  }

  #dropExpired(): void {
    const now = this.#now()
    for (const [key, { expiresAt }] of this.#credentials) if (expiresAt <= now) this.#credentials.delete(key)
  }
}
