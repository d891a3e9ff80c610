import type { X509Certificate } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { formatUsername } from '#core/credentials/username.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { errorFields, type Log } from '#core/process/logger.ts'
import { organizationRecordName } from '#core/stores/identity-records.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import { AuthorityIndex } from './authority-index.ts'

const organizationsAtOnce = 200
const retryMs = 1_000

/**
 * Which organizations have authorities: whether clients are asked for certificates at all, and who somebody may be
 * that says no name. What is decided by it is judged again by the records of then.
 */
export class ClientAuthorities {
  readonly #identities: IdentityReader
  readonly #log: Log
  readonly #byOrganization = new Map<OrganizationId, readonly string[]>()
  readonly #index = new AuthorityIndex()
  #retry: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(identities: IdentityReader, log: Log) {
    this.#identities = identities
    this.#log = log
  }

  get isEmpty(): boolean {
    return this.#byOrganization.size === 0
  }

  /** The only user of all organizations that the certificate is for. */
  usernameOf(certificate: X509Certificate): string | undefined {
    const name = this.#index.userOf(certificate)
    return name === undefined ? undefined : formatUsername(name)
  }

  /** Reads the records of all, again and again until they can be read; resolves after the first time. Never rejects. */
  async load(): Promise<void> {
    await this.#unlessUnavailable(() => this.#loadAll())
  }

  /** One of its records has changed. Never rejects. */
  async changed(organization: OrganizationId): Promise<void> {
    await this.#unlessUnavailable(() => this.#read(organization))
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#retry)
  }

  /** What can not be read stays what it was until then: by it nobody gets in whom the records of now refuse. */
  async #unlessUnavailable(read: () => Promise<void>): Promise<void> {
    try {
      await read()
    } catch (error) {
      this.#log.debug(errorFields(error), 'the authorities of client certificates could not be read now')
      if (this.#isClosed || this.#retry !== undefined) return
      this.#retry = setTimeout(() => {
        this.#retry = undefined
        void this.load()
      }, retryMs).unref()
    }
  }

  async #loadAll(): Promise<void> {
    const organizations = await this.#identities.organizations()
    for (const gone of new Set(this.#byOrganization.keys()).difference(new Set(organizations))) {
      this.#put(gone, [])
    }
    for (let at = 0; at < organizations.length; at += organizationsAtOnce) {
      await Promise.all(organizations.slice(at, at + organizationsAtOnce).map((one) => this.#read(one)))
    }
  }

  async #read(organization: OrganizationId): Promise<void> {
    const record = await this.#identities.get('organization', organization, organizationRecordName)
    this.#put(organization, record?.clientAuthorities ?? [])
  }

  #put(organization: OrganizationId, authorities: readonly string[]): void {
    const former = this.#byOrganization.get(organization) ?? []
    // A record changes for many reasons, and a certificate takes long to read.
    if (isDeepStrictEqual(former, authorities)) return
    for (const authority of former) this.#index.remove(organization, authority)
    for (const authority of authorities) this.#index.add(organization, authority)
    if (authorities.length === 0) this.#byOrganization.delete(organization)
    else this.#byOrganization.set(organization, authorities)
  }
}
