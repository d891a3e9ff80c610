import { apiKeyLookup, secretKindOf } from '#core/credentials/secret.ts'
import { type OrganizationId, parseOrganizationId } from '#core/organizations/organization-id.ts'
import { DecodedRecords } from './decoded-records.ts'
import { Gathering } from './gathering.ts'
import type { IdentityRecord, IdentityRecordType } from './identity-records.ts'
import type { FoundApiKey, IdentityReader } from './identity-store.ts'
import { fromRedis, type RedisConnection } from './redis-connection.ts'
import type { RedisKeys } from './redis-keys.ts'
import { parseTombstone, type Tombstone } from './tombstone.ts'

const mostAtOnce = 200

type Wanted = readonly [type: IdentityRecordType, name: string]

export class RedisIdentityReader implements IdentityReader {
  protected readonly redis: RedisConnection
  protected readonly keys: RedisKeys
  readonly #decoded = new DecodedRecords()
  /** Those that are being read. */
  readonly #reads = new Map<OrganizationId, Gathering<Wanted, string | null>>()

  constructor(redis: RedisConnection, keys: RedisKeys) {
    this.redis = redis
    this.keys = keys
  }

  async get<T extends IdentityRecordType>(
    type: T,
    organization: OrganizationId,
    name: string,
  ): Promise<IdentityRecord<T> | undefined> {
    const text = await this.#read(organization, [type, name])
    if (text !== null) return this.#decoded.decode(type, organization, name, text)
    this.#decoded.forget(type, organization, name)
    return undefined
  }

  recall<T extends IdentityRecordType>(
    type: T,
    organization: OrganizationId,
    name: string,
  ): IdentityRecord<T> | undefined {
    return this.#decoded.recall(type, organization, name)
  }

  versionOf(record: object): string | undefined {
    return this.#decoded.versionOf(record)
  }

  async organizations(): Promise<readonly OrganizationId[]> {
    const ids = await fromRedis(() => this.redis.smembers(this.keys.organizations))
    return ids.map(parseOrganizationId).filter((id) => id !== undefined)
  }

  async tombstoneOf(organization: OrganizationId): Promise<Tombstone | undefined> {
    const text = await fromRedis(() => this.redis.get(this.keys.tombstone(organization)))
    return parseTombstone(organization, text ?? '')
  }

  async tombstones(): Promise<readonly Tombstone[]> {
    const texts = await fromRedis(() => this.redis.hgetall(this.keys.tombstones))
    return Object.entries(texts).flatMap(([name, text]) => {
      const organization = parseOrganizationId(name)
      return (organization && parseTombstone(organization, text)) ?? []
    })
  }

  async getMany<T extends IdentityRecordType>(
    type: T,
    organization: OrganizationId,
    names: readonly string[],
  ): Promise<ReadonlyMap<string, IdentityRecord<T>>> {
    if (names.length === 0) return new Map()
    const texts = await Promise.all(names.map((name) => this.#read(organization, [type, name])))
    return this.#decodeAll(
      type,
      organization,
      names.map((name, index) => [name, texts[index] ?? undefined] as const),
    )
  }

  async list<T extends IdentityRecordType>(
    type: T,
    organization: OrganizationId,
  ): Promise<ReadonlyMap<string, IdentityRecord<T>>> {
    const texts = await fromRedis(() => this.redis.hgetall(this.keys.identity(type, organization)))
    return this.#decodeAll(type, organization, Object.entries(texts))
  }

  count(type: IdentityRecordType, organization: OrganizationId): Promise<number> {
    return fromRedis(() => this.redis.hlen(this.keys.identity(type, organization)))
  }

  #read(organization: OrganizationId, wanted: Wanted): Promise<string | null> {
    const known = this.#reads.get(organization)
    if (known !== undefined) return known.ask(wanted)
    const reads = new Gathering<Wanted, string | null>({
      most: mostAtOnce,
      ask: (all) => this.#readAll(organization, all),
      idle: () => void this.#reads.delete(organization),
    })
    this.#reads.set(organization, reads)
    return reads.ask(wanted)
  }

  /** One command for each type of record, however many want the same. */
  async #readAll(organization: OrganizationId, all: readonly Wanted[]): Promise<(string | null)[]> {
    const places = new Map<IdentityRecordType, Map<string, number>>()
    for (const [type, name] of all) {
      const names = places.get(type) ?? new Map<string, number>()
      places.set(type, names)
      if (!names.has(name)) names.set(name, names.size)
    }
    const texts = new Map<IdentityRecordType, readonly (string | null)[]>()
    await fromRedis(() =>
      Promise.all(
        Array.from(places, async ([type, names]) => {
          texts.set(type, await this.redis.hmget(this.keys.identity(type, organization), ...names.keys()))
        }),
      ),
    )
    return all.map(([type, name]) => texts.get(type)?.[places.get(type)?.get(name) ?? -1] ?? null)
  }

  #decodeAll<T extends IdentityRecordType>(
    type: T,
    organization: OrganizationId,
    texts: readonly (readonly [string, string | undefined])[],
  ): ReadonlyMap<string, IdentityRecord<T>> {
    const records = new Map<string, IdentityRecord<T>>()
    for (const [name, text] of texts) {
      if (text === undefined) this.#decoded.forget(type, organization, name)
      else records.set(name, this.#decoded.decode(type, organization, name, text))
    }
    return records
  }

  async findApiKey(secret: string): Promise<FoundApiKey | undefined> {
    // A wrong checksum is a guess or a typing error: not worth a question to Redis.
    if (secretKindOf(secret) === undefined) return undefined
    const lookup = apiKeyLookup(secret)
    const [id, name] = (await fromRedis(() => this.redis.hget(this.keys.apiKeys, lookup)))?.split(' ') ?? []
    const organization = id === undefined ? undefined : parseOrganizationId(id)
    if (organization === undefined || name === undefined) return undefined
    const record = await this.get('api-key', organization, name)
    return record?.lookup === lookup ? { organization, name, record } : undefined
  }

  async isReady(): Promise<boolean> {
    return (await fromRedis(() => this.redis.exists(this.keys.epoch))) === 1
  }
}
