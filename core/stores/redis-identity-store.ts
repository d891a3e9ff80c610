import { randomUUID } from 'node:crypto'
import { barrierOfRecord, type IssuedEnd, issuedEnds } from '#core/credentials/barrier.ts'
import { DomainError, isDomainError } from '#core/errors.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { controlEntryTypes, type ControlLogWriter } from './control-log.ts'
import { identityCodec } from './identity-codecs.ts'
import { type IdentityRecord, type IdentityRecordType, identityRecordTypes } from './identity-records.ts'
import type { FoundApiKey, IdentityWriter, RemoveOptions } from './identity-store.ts'
import { fingerprintOf } from './record-codec.ts'
import { fromRedis, type RedisConnection } from './redis-connection.ts'
import { RedisIdentityReader } from './redis-identity-reader.ts'
import {
  addMember,
  buryOrganization,
  dropField,
  forgetTombstone,
  markOnce,
  moveIndex,
  putOrganization,
  putRecord,
  raiseFence,
  removeMember,
  removeRecord,
  settleEntry,
  supersededError,
} from './redis-identity-scripts.ts'
import type { RedisKeys } from './redis-keys.ts'
import type { redisScript } from './redis-script.ts'
import { formatTombstone, type Tombstone } from './tombstone.ts'

/** Of a leader: what was written in a higher term is not touched, and the write rejects with `superseded`. */
export type TermOfWriter = () => number

const comparedAtOnce = 500

export class RedisIdentityStore extends RedisIdentityReader implements IdentityWriter {
  readonly #log: ControlLogWriter
  readonly #term: TermOfWriter | undefined

  /** Without a term there is but one writer. */
  constructor(redis: RedisConnection, keys: RedisKeys, log: ControlLogWriter, term?: TermOfWriter) {
    super(redis, keys)
    this.#log = log
    this.#term = term
  }

  /**
   * From now on no leader of an earlier term writes anything, and what one left half done is finished: a removal that
   * nobody was told of would be repeated by nobody. Rejects with `superseded` when there was a later leader.
   * Organizations that are not there yet are closed to earlier ones by the first write.
   */
  async takeOver(): Promise<void> {
    await this.#all(raiseFence, [])
    const organizations = await this.organizations()
    await Promise.all(organizations.map((organization) => this.#takeOver(organization)))
  }

  async #takeOver(organization: OrganizationId): Promise<void> {
    await this.#in(organization, raiseFence, [])
    const outbox = this.keys.identityOutbox(organization)
    for (const entry of await fromRedis(() => this.redis.hkeys(outbox))) await this.#tell(organization, entry)
    await this.#forgetIfEmpty(organization)
  }

  async put<T extends IdentityRecordType>(
    type: T,
    organization: OrganizationId,
    name: string,
    record: IdentityRecord<T>,
    end?: IssuedEnd,
  ): Promise<boolean> {
    await this.#all(addMember, [this.keys.organizations], organization)
    if (type === 'api-key') await this.#index(organization, name, (record as FoundApiKey['record']).lookup)
    const script = type === 'organization' ? putOrganization : putRecord
    const text = identityCodec(type).encode(record)
    return this.#change(script, { type, organization, name }, text, end)
  }

  async remove(
    type: IdentityRecordType,
    organization: OrganizationId,
    name: string,
    { keepsIssued = false }: RemoveOptions = {},
  ): Promise<boolean> {
    if (type === 'api-key') await this.#index(organization, name, undefined)
    const script = type === 'organization' ? buryOrganization : removeRecord
    const end = keepsIssued ? undefined : 'for-good'
    const changed = await this.#change(script, { type, organization, name }, '', end)
    await this.#forgetIfEmpty(organization)
    return changed
  }

  async forget(tombstone: Tombstone): Promise<void> {
    const { organization } = tombstone
    const text = formatTombstone(tombstone)
    const others = identityRecordTypes.map((type) => this.keys.identity(type, organization))
    const keys = [this.keys.tombstone(organization), this.keys.identityOutbox(organization), ...others]
    await this.#in(organization, forgetTombstone, keys, text)
    await this.#all(dropField, [this.keys.tombstones], organization, text)
  }

  names(type: IdentityRecordType, organization: OrganizationId): Promise<readonly string[]> {
    return fromRedis(() => this.redis.hkeys(this.keys.identity(type, organization)))
  }

  async markReady(): Promise<void> {
    await this.#all(markOnce, [this.keys.epoch], randomUUID())
  }

  async drifted(
    type: IdentityRecordType,
    organization: OrganizationId,
    fingerprints: ReadonlyMap<string, string>,
  ): Promise<readonly string[]> {
    const names = [...fingerprints.keys()]
    const drifted: string[] = []
    for (let start = 0; start < names.length; start += comparedAtOnce) {
      const some = names.slice(start, start + comparedAtOnce)
      const key = this.keys.identity(type, organization)
      const texts = await fromRedis(() => this.redis.hmget(key, ...some))
      const unfound = await this.#unfound(type, organization, some, texts)
      drifted.push(
        ...some.filter((name, index) => {
          const text = texts[index]
          return (
            typeof text !== 'string' || fingerprintOf(text) !== fingerprints.get(name) || unfound.has(name)
          )
        }),
      )
    }
    return drifted
  }

  /** Those that are there and that nobody finds, because what leads to them is gone. */
  async #unfound(
    type: IdentityRecordType,
    organization: OrganizationId,
    names: readonly string[],
    texts: readonly (string | null)[],
  ): Promise<ReadonlySet<string>> {
    if (type === 'organization') {
      const isMember = await fromRedis(() => this.redis.sismember(this.keys.organizations, organization))
      return new Set(isMember === 1 ? [] : names)
    }
    if (type !== 'api-key') return new Set()
    const lookups = texts.map((text) => lookupIn(text))
    const found = await fromRedis(() => this.redis.hmget(this.keys.apiKeys, ...lookups))
    return new Set(names.filter((name, index) => found[index] !== `${organization} ${name}`))
  }

  async #change(
    script: typeof putRecord,
    { type, organization, name }: Named,
    text: string,
    end: IssuedEnd | undefined,
  ): Promise<boolean> {
    const keys = [this.keys.identity(type, organization), this.keys.identityOutbox(organization)]
    if (type === 'organization') keys.push(this.keys.tombstone(organization))
    const barriers = issuedEnds.flatMap((each) => barrierOfRecord(type, name, each) ?? [])
    if (barriers.length > 0) keys.push(this.keys.barriers(organization))
    const raised = end && barrierOfRecord(type, name, end)
    const entries = [`${type}/${name}`, ...barriers.map((target) => `barrier/${target}`)]
    const untold = await this.#in(organization, script, keys, name, text, raised ?? '', ...entries)
    for (const entry of untold as string[]) await this.#tell(organization, entry)
    return (untold as string[]).length > 0
  }

  /** An entry as it stands in the outbox. */
  async #tell(organization: OrganizationId, entry: string): Promise<void> {
    const type = controlEntryTypes.find((each) => entry.startsWith(`${each}/`))
    if (type === undefined) return
    if (type === 'organization') await this.#listTombstone(organization)
    await this.#log.append({ type, organization, name: entry.slice(type.length + 1) })
    await this.#in(organization, settleEntry, [this.keys.identityOutbox(organization)], entry)
  }

  /** Whoever hears that an organization has changed has to find its tombstone. */
  async #listTombstone(organization: OrganizationId): Promise<void> {
    const tombstone = await this.tombstoneOf(organization)
    const entry =
      tombstone === undefined ? ['', '', organization] : [organization, formatTombstone(tombstone), '']
    await this.#all(moveIndex, [this.keys.tombstones], ...entry)
  }

  async #forgetIfEmpty(organization: OrganizationId): Promise<void> {
    const keys = identityRecordTypes.map((each) => this.keys.identity(each, organization))
    const isEmpty = await fromRedis(async () => (await this.redis.exists(...keys)) === 0)
    if (isEmpty) await this.#all(removeMember, [this.keys.organizations], organization)
  }

  /** Points the new secret's digest at the key, and no other digest any more. */
  async #index(organization: OrganizationId, name: string, lookup = ''): Promise<void> {
    const former = (await this.#lookupOf(organization, name)) ?? ''
    await this.#all(moveIndex, [this.keys.apiKeys], lookup, `${organization} ${name}`, former)
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

  #in(
    organization: OrganizationId,
    script: Script,
    keys: readonly string[],
    ...values: string[]
  ): Promise<unknown> {
    return this.#fenced(script, [...keys, this.keys.identityFence(organization)], values)
  }

  #all(script: Script, keys: readonly string[], ...values: string[]): Promise<unknown> {
    return this.#fenced(script, [...keys, this.keys.identityFence(undefined)], values)
  }

  #fenced(script: Script, keys: readonly string[], values: readonly string[]): Promise<unknown> {
    return fromRedis(async () => {
      try {
        return await script(this.redis, keys, [this.#term?.() ?? '', ...values])
      } catch (error) {
        throw supersededBy(error) ?? error
      }
    })
  }
}

type Script = ReturnType<typeof redisScript>

interface Named {
  readonly type: IdentityRecordType
  readonly organization: OrganizationId
  readonly name: string
}

function supersededBy(error: unknown): DomainError | undefined {
  if (!(error instanceof Error) || !error.message.startsWith(supersededError)) return undefined
  const term = Number.parseInt(error.message.slice(supersededError.length), 10)
  return new DomainError('superseded', 'another operator leads, or has led after this one', { cause: term })
}

function lookupIn(text: string | null): string {
  try {
    return identityCodec('api-key').decode(text ?? '').lookup
  } catch {
    return ''
  }
}
