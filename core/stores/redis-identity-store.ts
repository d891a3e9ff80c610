import { randomUUID } from 'node:crypto'
import { isDomainError } from '#core/errors.ts'
import { apiKeyLookup, secretKindOf } from '#core/credentials/secret.ts'
import { type OrganizationId, parseOrganizationId } from '#core/organizations/organization-id.ts'
import type { ControlLogWriter } from './control-log.ts'
import { DecodedRecords } from './decoded-records.ts'
import { identityCodec } from './identity-codecs.ts'
import { type IdentityRecord, type IdentityRecordType, identityRecordTypes } from './identity-records.ts'
import type { FoundApiKey, IdentityReader, IdentityWriter } from './identity-store.ts'
import { Gathering } from './gathering.ts'
import { fromRedis, type RedisConnection } from './redis-connection.ts'
import type { RedisKeys } from './redis-keys.ts'
import { redisScript } from './redis-script.ts'

// The outbox keeps the change in mind until it is in the control log, which lies in another slot: a writer
// that dies between the two finds it again when it repeats the write.
const putRecord = redisScript(`
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[3] then return redis.call('HEXISTS', KEYS[2], ARGV[2]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('HSET', KEYS[2], ARGV[2], '1')
return 1`)

const removeRecord = redisScript(`
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return redis.call('HEXISTS', KEYS[2], ARGV[2]) end
redis.call('HSET', KEYS[2], ARGV[2], '1')
return 1`)

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

export class RedisIdentityStore extends RedisIdentityReader implements IdentityWriter {
  readonly #log: ControlLogWriter

  constructor(redis: RedisConnection, keys: RedisKeys, log: ControlLogWriter) {
    super(redis, keys)
    this.#log = log
  }

  async put<T extends IdentityRecordType>(
    type: T,
    organization: OrganizationId,
    name: string,
    record: IdentityRecord<T>,
  ): Promise<boolean> {
    await fromRedis(async () => {
      await this.redis.sadd(this.keys.organizations, organization)
      if (type === 'api-key') await this.#index(organization, name, (record as FoundApiKey['record']).lookup)
    })
    return this.#change(putRecord, type, organization, name, identityCodec(type).encode(record))
  }

  async remove(type: IdentityRecordType, organization: OrganizationId, name: string): Promise<boolean> {
    if (type === 'api-key') await this.#index(organization, name, undefined)
    const changed = await this.#change(removeRecord, type, organization, name)
    await fromRedis(async () => {
      const keys = identityRecordTypes.map((each) => this.keys.identity(each, organization))
      if ((await this.redis.exists(...keys)) === 0)
        await this.redis.srem(this.keys.organizations, organization)
    })
    return changed
  }

  names(type: IdentityRecordType, organization: OrganizationId): Promise<readonly string[]> {
    return fromRedis(() => this.redis.hkeys(this.keys.identity(type, organization)))
  }

  async markReady(): Promise<void> {
    await fromRedis(() => this.redis.set(this.keys.epoch, randomUUID(), 'NX'))
  }

  async #change(
    script: typeof putRecord,
    type: IdentityRecordType,
    organization: OrganizationId,
    name: string,
    ...values: string[]
  ): Promise<boolean> {
    const outbox = this.keys.identityOutbox(organization)
    const field = `${type}/${name}`
    const keys = [this.keys.identity(type, organization), outbox]
    if ((await fromRedis(() => script(this.redis, keys, [name, field, ...values]))) !== 1) return false
    await this.#log.append({ type, organization, name })
    await fromRedis(() => this.redis.hdel(outbox, field))
    return true
  }

  async #lookupOf(organization: OrganizationId, name: string): Promise<string | undefined> {
    try {
      return (await this.get('api-key', organization, name))?.lookup
    } catch (error) {
      // What can not be read is written anew, or removed, all the same.
      if (isDomainError(error, 'record-damaged')) return undefined
      throw error
    }
  }

  /** Points the new secret's digest at the key, and no other digest any more. */
  async #index(organization: OrganizationId, name: string, lookup: string | undefined): Promise<void> {
    const former = await this.#lookupOf(organization, name)
    await fromRedis(async () => {
      if (lookup !== undefined) await this.redis.hset(this.keys.apiKeys, lookup, `${organization} ${name}`)
      if (former !== undefined && former !== lookup) await this.redis.hdel(this.keys.apiKeys, former)
    })
  }
}
