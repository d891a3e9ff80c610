import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { SessionDirectory, SessionEntry, SessionPage } from '#core/stores/session-directory.ts'
import type { MemoryClientRegistry } from '../cluster/memory-client-registry.ts'
import type { MemoryPersistence } from '../persistence/memory-persistence.ts'

/** The sessions of one process alone. */
export class MemorySessionDirectory implements SessionDirectory {
  readonly #replica: string
  readonly #clients: MemoryClientRegistry
  readonly #persistences: ReadonlyMap<OrganizationId, MemoryPersistence>

  constructor(
    replica: string,
    clients: MemoryClientRegistry,
    persistences: ReadonlyMap<OrganizationId, MemoryPersistence>,
  ) {
    this.#replica = replica
    this.#clients = clients
    this.#persistences = persistences
  }

  async list(
    organization: OrganizationId,
    prefix: string,
    after: string,
    limit: number,
  ): Promise<SessionPage> {
    const stored = await this.#persistences.get(organization)?.findSessions(prefix, after, limit + 1)
    const ids = new Set(stored?.map(({ id }) => id))
    for (const id of this.#clients.claimsOf(organization).keys()) {
      if (id.startsWith(prefix) && id > after) ids.add(id)
    }
    const sorted = [...ids].toSorted()
    const page = sorted.slice(0, limit)
    const sessions = page.map((id) => this.#entry(organization, id)).filter((each) => each !== undefined)
    const last = page.at(-1)
    return sorted.length <= limit || last === undefined ? { sessions } : { sessions, next: last }
  }

  async find(organization: OrganizationId, id: string): Promise<SessionEntry | undefined> {
    return this.#entry(organization, id)
  }

  #entry(organization: OrganizationId, id: string): SessionEntry | undefined {
    const claim = this.#clients.claimsOf(organization).get(id)
    const stored = this.#persistences.get(organization)?.stateOf(id)
    if (claim === undefined && stored === undefined) return undefined
    const connection = claim && { ...claim.arrival.about, replica: this.#replica, since: claim.since }
    return {
      id,
      ...(connection === undefined ? {} : { connection }),
      ...(stored === undefined ? {} : { stored }),
    }
  }
}
