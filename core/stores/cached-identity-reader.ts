import { apiKeyLookup } from '#core/credentials/secret.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { ControlEntry, ControlLogReader, ControlLogSubscription } from './control-log.ts'
import type { IdentityRecord, IdentityRecordType } from './identity-records.ts'
import type { FoundApiKey, IdentityReader } from './identity-store.ts'
import type { Tombstone } from './tombstone.ts'

const retryMs = 1_000
/** How far behind the control log what is remembered may be. The log is read to its end every second at least. */
const longestStalenessMs = 3_000
const mostRemembered = 50_000

/**
 * Remembers what it has read until the control log says that it changed. While the log can not be followed, everything
 * is read as if nothing were remembered. What is not there is not remembered.
 */
export class CachedIdentityReader implements IdentityReader {
  readonly #reader: IdentityReader
  readonly #log: ControlLogReader
  /** What was read, or is being read: one `<type>/<name>` each, and `<type>` for all of a type. */
  readonly #remembered = new Map<OrganizationId, Map<string, Promise<unknown>>>()
  /** By digest: where an API key was found. Whether it still is that one, its record says. */
  readonly #apiKeys = new Map<string, Omit<FoundApiKey, 'record'>>()
  readonly #began = performance.now()
  #count = 0
  #subscription: ControlLogSubscription | undefined
  #retry: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(reader: IdentityReader, log: ControlLogReader) {
    this.#reader = reader
    this.#log = log
    void this.#follow()
  }

  get<T extends IdentityRecordType>(
    type: T,
    organization: OrganizationId,
    name: string,
  ): Promise<IdentityRecord<T> | undefined> {
    return this.#remember(organization, `${type}/${name}`, () => this.#reader.get(type, organization, name))
  }

  getMany<T extends IdentityRecordType>(
    type: T,
    organization: OrganizationId,
    names: readonly string[],
  ): Promise<ReadonlyMap<string, IdentityRecord<T>>> {
    return this.#reader.getMany(type, organization, names)
  }

  list<T extends IdentityRecordType>(
    type: T,
    organization: OrganizationId,
  ): Promise<ReadonlyMap<string, IdentityRecord<T>>> {
    return this.#remember(organization, type, () => this.#reader.list(type, organization))
  }

  count(type: IdentityRecordType, organization: OrganizationId): Promise<number> {
    return this.#reader.count(type, organization)
  }

  async findApiKey(secret: string): Promise<FoundApiKey | undefined> {
    const lookup = apiKeyLookup(secret)
    const known = this.#apiKeys.get(lookup)
    if (known !== undefined && this.#isFollowing()) {
      const record = await this.get('api-key', known.organization, known.name)
      if (record?.lookup === lookup) return { ...known, record }
      this.#apiKeys.delete(lookup)
    }
    const found = await this.#reader.findApiKey(secret)
    if (found === undefined) return undefined
    const { organization, name } = found
    if (this.#apiKeys.size >= mostRemembered) this.#apiKeys.clear()
    this.#apiKeys.set(lookup, { organization, name })
    return found
  }

  recall<T extends IdentityRecordType>(
    type: T,
    organization: OrganizationId,
    name: string,
  ): IdentityRecord<T> | undefined {
    return this.#reader.recall(type, organization, name)
  }

  versionOf(record: object): string | undefined {
    return this.#reader.versionOf(record)
  }

  isReady(): Promise<boolean> {
    return this.#reader.isReady()
  }

  organizations(): Promise<readonly OrganizationId[]> {
    return this.#reader.organizations()
  }

  tombstoneOf(organization: OrganizationId): Promise<Tombstone | undefined> {
    return this.#reader.tombstoneOf(organization)
  }

  tombstones(): Promise<readonly Tombstone[]> {
    return this.#reader.tombstones()
  }

  /** Milliseconds since the control log was read to its end: how old what is remembered may be. */
  staleness(): number {
    return this.#subscription?.staleness() ?? performance.now() - this.#began
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#retry)
    await this.#subscription?.close()
  }

  #remember<T>(organization: OrganizationId, key: string, read: () => Promise<T>): Promise<T> {
    if (!this.#isFollowing()) return read()
    const own = this.#remembered.get(organization) ?? new Map<string, Promise<unknown>>()
    const known = own.get(key) as Promise<T> | undefined
    if (known !== undefined) return known
    if (this.#count >= mostRemembered) this.#forgetAll()
    const reading = read()
    own.set(key, reading)
    this.#remembered.set(organization, own)
    this.#count += 1
    // An entry that comes while it is read makes it void as well.
    const forget = (): void => {
      if (own.get(key) === reading) this.#forget(organization, key)
    }
    reading.then((found) => {
      if (found === undefined) forget()
    }, forget)
    return reading
  }

  #isFollowing(): boolean {
    return this.#subscription !== undefined && this.#subscription.staleness() < longestStalenessMs
  }

  #forget(organization: OrganizationId, key: string): void {
    const own = this.#remembered.get(organization)
    if (own?.delete(key) !== true) return
    this.#count -= 1
    if (own.size === 0) this.#remembered.delete(organization)
  }

  #forgetAll(): void {
    this.#remembered.clear()
    this.#count = 0
  }

  async #follow(): Promise<void> {
    const entry = ({ type, organization, name }: ControlEntry): void => {
      this.#forget(organization, `${type}/${name}`)
      this.#forget(organization, type)
    }
    try {
      const subscription = await this.#log.follow({ entry, gap: () => this.#forgetAll() })
      if (this.#isClosed) await subscription.close()
      else this.#subscription = subscription
    } catch {
      this.#retry = setTimeout(() => void this.#follow(), retryMs)
      this.#retry.unref()
    }
  }
}
