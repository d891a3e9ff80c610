import { barrierOfRecord, type IssuedEnd } from '#core/credentials/barrier.ts'
import { apiKeyLookup, secretKindOf } from '#core/credentials/secret.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { ControlLogWriter } from './control-log.ts'
import { identityCodec } from './identity-codecs.ts'
import type { IdentityRecord, IdentityRecordType } from './identity-records.ts'
import type { FoundApiKey, IdentityWriter, RemoveOptions } from './identity-store.ts'
import { MemoryBarriers } from './memory-barriers.ts'
import { fingerprintOf } from './record-codec.ts'
import type { Tombstone } from './tombstone.ts'

/** The same contract in one process, for standalone and for tests. Keeps text, so that nobody shares an object. */
export class MemoryIdentityStore implements IdentityWriter {
  readonly #texts = new Map<OrganizationId, Map<string, string>>()
  readonly #log: ControlLogWriter
  readonly #barriers: MemoryBarriers
  readonly #tombstones = new Map<OrganizationId, Tombstone>()
  #lastTombstone = 0
  #ready = false

  /** `barriers` are those of the credentials. */
  constructor(log: ControlLogWriter, barriers: MemoryBarriers = new MemoryBarriers()) {
    this.#log = log
    this.#barriers = barriers
  }

  async get<T extends IdentityRecordType>(
    type: T,
    organization: OrganizationId,
    name: string,
  ): Promise<IdentityRecord<T> | undefined> {
    const text = this.#texts.get(organization)?.get(fieldOf(type, name))
    return text === undefined ? undefined : identityCodec(type).decode(text)
  }

  recall(): undefined {}

  versionOf(): undefined {}

  async getMany<T extends IdentityRecordType>(
    type: T,
    organization: OrganizationId,
    names: readonly string[],
  ): Promise<ReadonlyMap<string, IdentityRecord<T>>> {
    const found = new Map<string, IdentityRecord<T>>()
    for (const name of names) {
      const record = await this.get(type, organization, name)
      if (record !== undefined) found.set(name, record)
    }
    return found
  }

  async list<T extends IdentityRecordType>(
    type: T,
    organization: OrganizationId,
  ): Promise<ReadonlyMap<string, IdentityRecord<T>>> {
    return this.getMany(type, organization, await this.names(type, organization))
  }

  async names(type: IdentityRecordType, organization: OrganizationId): Promise<readonly string[]> {
    const prefix = fieldOf(type, '')
    const fields = [...(this.#texts.get(organization)?.keys() ?? [])]
    return fields.filter((field) => field.startsWith(prefix)).map((field) => field.slice(prefix.length))
  }

  async count(type: IdentityRecordType, organization: OrganizationId): Promise<number> {
    return (await this.names(type, organization)).length
  }

  async findApiKey(secret: string): Promise<FoundApiKey | undefined> {
    if (secretKindOf(secret) === undefined) return undefined
    const lookup = apiKeyLookup(secret)
    for (const organization of this.#texts.keys()) {
      for (const [name, record] of await this.list('api-key', organization)) {
        if (record.lookup === lookup) return { organization, name, record }
      }
    }
    return undefined
  }

  async isReady(): Promise<boolean> {
    return this.#ready
  }

  async put<T extends IdentityRecordType>(
    type: T,
    organization: OrganizationId,
    name: string,
    record: IdentityRecord<T>,
    end?: IssuedEnd,
  ): Promise<boolean> {
    const texts = this.#texts.get(organization) ?? new Map<string, string>()
    this.#texts.set(organization, texts)
    const text = identityCodec(type).encode(record)
    if (texts.get(fieldOf(type, name)) === text) return false
    texts.set(fieldOf(type, name), text)
    if (type === 'organization') this.#tombstones.delete(organization)
    await this.#tell(type, organization, name, end)
    return true
  }

  async remove(
    type: IdentityRecordType,
    organization: OrganizationId,
    name: string,
    { keepsIssued = false }: RemoveOptions = {},
  ): Promise<boolean> {
    const texts = this.#texts.get(organization)
    const text = texts?.get(fieldOf(type, name))
    if (texts === undefined || text === undefined) return false
    texts.delete(fieldOf(type, name))
    if (type === 'organization') this.#bury(organization, text)
    if (texts.size === 0) this.#texts.delete(organization)
    await this.#tell(type, organization, name, keepsIssued ? undefined : 'for-good')
    return true
  }

  async #tell(
    type: IdentityRecordType,
    organization: OrganizationId,
    name: string,
    end: IssuedEnd | undefined,
  ): Promise<void> {
    const target = end && barrierOfRecord(type, name, end)
    if (target !== undefined) this.#barriers.raise(organization, target)
    await this.#log.append({ type, organization, name })
    if (target !== undefined) await this.#log.append({ type: 'barrier', organization, name: target })
  }

  #bury(organization: OrganizationId, text: string): void {
    this.#lastTombstone = Math.max(Date.now() * 1_000, this.#lastTombstone + 1)
    const at = Math.floor(this.#lastTombstone / 1_000)
    const retains = identityCodec('organization').decode(text).retain === true
    this.#tombstones.set(organization, { organization, id: String(this.#lastTombstone), at, retains })
  }

  async tombstoneOf(organization: OrganizationId): Promise<Tombstone | undefined> {
    return this.#tombstones.get(organization)
  }

  async tombstones(): Promise<readonly Tombstone[]> {
    return [...this.#tombstones.values()]
  }

  async forget({ organization, id }: Tombstone): Promise<void> {
    if (this.#tombstones.get(organization)?.id === id) this.#tombstones.delete(organization)
  }

  async drifted(
    type: IdentityRecordType,
    organization: OrganizationId,
    fingerprints: ReadonlyMap<string, string>,
  ): Promise<readonly string[]> {
    const texts = this.#texts.get(organization)
    return [...fingerprints]
      .filter(([name, expected]) => fingerprintOf(texts?.get(fieldOf(type, name)) ?? '') !== expected)
      .map(([name]) => name)
  }

  async organizations(): Promise<readonly OrganizationId[]> {
    return [...this.#texts.keys()]
  }

  async markReady(): Promise<void> {
    this.#ready = true
  }
}

function fieldOf(type: IdentityRecordType, name: string): string {
  return `${type}/${name}`
}
