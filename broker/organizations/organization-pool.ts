import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { errorFields, type Log } from '#core/process/logger.ts'
import type { Message } from '../aedes/messages.ts'
import { OrganizationAedes } from '../aedes/organization-aedes.ts'
import type { SessionPersistence } from '../persistence/session-persistence.ts'
import type { Cluster } from './cluster.ts'

/** How long an organization without clients stays open: most clients that leave come back at once. */
const idleMs = 30_000

interface Entry {
  readonly broker: Promise<OrganizationAedes>
  /** Once it is open. */
  opened: OrganizationAedes | undefined
  users: number
  idle: NodeJS.Timeout | undefined
  /** Nobody of the organization will come back. */
  isGone: boolean
}

/**
 * One aedes per organization, made when its first client arrives and closed some time after the last has left.
 * Topics, client ids and retained messages of two organizations can not meet: they live in different objects
 * over differently prefixed keys.
 */
export class OrganizationPool {
  readonly #cluster: Cluster
  readonly #log: Log
  readonly #lost: (organization: OrganizationId, batches: number) => void
  readonly #entries = new Map<OrganizationId, Entry>()

  /** `lost`: see the bus. */
  constructor(cluster: Cluster, log: Log, lost: (organization: OrganizationId, batches: number) => void) {
    this.#cluster = cluster
    this.#log = log
    this.#lost = lost
  }

  /** Must be followed by one `release`. Rejects with `store-unavailable`; then there is nothing to release. */
  acquire(organization: OrganizationId): Promise<OrganizationAedes> | OrganizationAedes {
    const entry = this.#entries.get(organization) ?? this.#open(organization)
    clearTimeout(entry.idle)
    entry.users += 1
    return entry.opened ?? this.#opened(organization, entry)
  }

  async #opened(organization: OrganizationId, entry: Entry): Promise<OrganizationAedes> {
    try {
      entry.opened = await entry.broker
      return entry.opened
    } catch (error) {
      entry.users -= 1
      if (this.#entries.get(organization) === entry) this.#entries.delete(organization)
      throw error
    }
  }

  release(organization: OrganizationId): void {
    const entry = this.#entries.get(organization)
    if (entry === undefined) return
    entry.users -= 1
    if (entry.users > 0) return
    if (entry.isGone) return void this.#close(organization, entry)
    entry.idle = setTimeout(() => void this.#close(organization, entry), idleMs)
    entry.idle.unref()
  }

  /** The organization is gone: closes it as soon as nobody uses it. One of its name finds nothing of it here. */
  leave(organization: OrganizationId): void {
    const entry = this.#entries.get(organization)
    if (entry === undefined) return
    entry.isGone = true
    if (entry.users === 0) void this.#close(organization, entry)
  }

  async publish(organization: OrganizationId, message: Message): Promise<void> {
    await this.use(organization, (broker) => broker.publish(message))
  }

  /** Opens the organization for as long as it takes. */
  async use(
    organization: OrganizationId,
    act: (broker: OrganizationAedes) => Promise<void> | void,
  ): Promise<void> {
    const broker = await this.acquire(organization)
    try {
      await act(broker)
    } finally {
      this.release(organization)
    }
  }

  /** Without opening the organization: for what needs none of its messages. */
  async persistenceOf(organization: OrganizationId): Promise<SessionPersistence> {
    const entry = this.#entries.get(organization)
    return entry === undefined ? this.#cluster.persistence(organization) : (await entry.broker).persistence
  }

  async close(): Promise<void> {
    const entries = [...this.#entries]
    await Promise.all(entries.map(([organization, entry]) => this.#close(organization, entry)))
  }

  #open(organization: OrganizationId): Entry {
    const entry: Entry = {
      broker: this.#create(organization),
      opened: undefined,
      users: 0,
      idle: undefined,
      isGone: false,
    }
    this.#entries.set(organization, entry)
    return entry
  }

  async #create(organization: OrganizationId): Promise<OrganizationAedes> {
    const emitter = await this.#cluster.emitter(organization, (batches) => this.#lost(organization, batches))
    return OrganizationAedes.create({
      replica: this.#cluster.replica,
      emitter,
      persistence: this.#cluster.persistence(organization),
      onError: (error) =>
        this.#log.error({ organization, ...errorFields(error) }, 'the broker reported an error'),
    })
  }

  async #close(organization: OrganizationId, entry: Entry): Promise<void> {
    clearTimeout(entry.idle)
    this.#entries.delete(organization)
    await (await entry.broker).close()
    if (!this.#entries.has(organization)) await this.#cluster.closed(organization)
  }
}
