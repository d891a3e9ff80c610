import { barriersOf, barriersOfProof, type BarrierTarget } from '#core/credentials/barrier.ts'
import {
  type CredentialRecord,
  credentialKinds,
  CredentialRecordSchema,
  type IssuedCredential,
} from '#core/credentials/credential-record.ts'
import { DomainError } from '#core/errors.ts'
import type { Principal } from '#core/identity/principal.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { type ControlLogWriter, formatMoment, type Moment, parseMoment } from './control-log.ts'
import {
  comparePositions,
  type CredentialPage,
  type CredentialPosition,
  type CredentialQuery,
  type CredentialRenewer,
  type CredentialStore,
  type Extension,
  type ListedCredential,
  behindBarrier,
  type IssueBounds,
  judgeChanged,
  subjectLimit,
  type Raised,
  type Revoked,
} from './credential-store.ts'
import { versionOfText } from './decoded-records.ts'
import { bucketOf, RateExceeded, type RateLimiter } from './rate-limiter.ts'
import { recordCodec } from './record-codec.ts'
import { fromRedis, type RedisConnection } from './redis-connection.ts'
import {
  createCredential,
  extendCredential,
  listCredentials,
  raiseBarrier,
  readCredential,
  removeCredential,
} from './redis-credential-scripts.ts'
import { RedisRateLimiter } from './redis-rate-limiter.ts'
import type { RedisKeys } from './redis-keys.ts'

const codec = recordCodec('credential', CredentialRecordSchema)
/** Longer than anything lives. */
const endlessSeconds = 1e9
/** A process that ended comes back within that time, or another one. */
const untoldSeconds = 86_400

/** What a broker needs: it reads credentials and prolongs them. */
export class RedisCredentialRenewer implements CredentialRenewer {
  protected readonly redis: RedisConnection
  protected readonly keys: RedisKeys
  protected readonly log: ControlLogWriter
  readonly #limiter: RateLimiter
  readonly #versions = new WeakMap<IssuedCredential, string>()

  constructor(redis: RedisConnection, keys: RedisKeys, log: ControlLogWriter) {
    this.redis = redis
    this.keys = keys
    this.log = log
    this.#limiter = new RedisRateLimiter(redis, keys)
  }

  async get(organization: OrganizationId, local: string): Promise<IssuedCredential | undefined> {
    const keys = [this.keys.credential(organization, local), this.keys.barriers(organization)]
    const text = await fromRedis(() => readCredential(this.redis, keys, []))
    if (typeof text !== 'string') return undefined
    const credential = decode(text)
    this.#versions.set(credential, versionOfText(text))
    return credential
  }

  versionOf(credential: IssuedCredential): string | undefined {
    return this.#versions.get(credential)
  }

  async extend(
    organization: OrganizationId,
    local: string,
    ttlSeconds: number,
    longestSeconds: number,
    { perMinute, attributes }: Extension = {},
  ): Promise<IssuedCredential | undefined> {
    const former = await this.get(organization, local)
    if (former === undefined) return undefined
    if (perMinute !== undefined) {
      const limit = subjectLimit(former.principal, perMinute)
      const { waitMs } = await this.#limiter.take(organization, [limit])
      if (waitMs > 0) throw new RateExceeded(limit, waitMs)
    }
    const keys = this.keysOf(organization, local, former)
    const { issuedAt: _, expiresAt: __, ...record } = former
    const changed = attributes === undefined ? [] : [codec.encode({ ...record, attributes })]
    const values = [ttlSeconds, Math.min(longestSeconds, endlessSeconds), local, ...changed]
    const text = await fromRedis(() => extendCredential(this.redis, keys, values))
    if (typeof text !== 'string') return undefined
    await this.log.append({ type: 'credential', organization, name: local })
    return decode(text)
  }

  async barrierOf(organization: OrganizationId, targets: readonly BarrierTarget[]): Promise<number> {
    return Math.max(0, ...(await this.barriers(organization, targets)))
  }

  /** When each of them was raised, or 0. */
  protected async barriers(
    organization: OrganizationId,
    targets: readonly BarrierTarget[],
  ): Promise<readonly number[]> {
    if (targets.length === 0) return []
    const key = this.keys.barriers(organization)
    return (await fromRedis(() => this.redis.zmscore(key, ...targets))).map(Number)
  }

  protected keysOf(
    organization: OrganizationId,
    local: string,
    { principal, kind }: Pick<CredentialRecord, 'principal' | 'kind'>,
  ): readonly [credential: string, ofPrincipal: string, ofKind: string] {
    return [
      this.keys.credential(organization, local),
      this.keys.credentialsOf(organization, principal),
      this.keys.credentialsOf(organization, kind),
    ]
  }
}

export class RedisCredentialStore extends RedisCredentialRenewer implements CredentialStore {
  async create(
    organization: OrganizationId,
    local: string,
    record: CredentialRecord,
    ttlSeconds: number,
    { replace = false, most = 0, perMinute, provenAt, judgedBy = [] }: IssueBounds = {},
  ): Promise<IssuedCredential> {
    const text = codec.encode(record)
    const room = replace ? 0 : most - 1
    const limit = perMinute === undefined ? undefined : subjectLimit(record.principal, perMinute)
    const keys: string[] = [...this.keysOf(organization, local, record)]
    keys.push(this.keys.barriers(organization))
    if (limit !== undefined) keys.push(this.keys.rate(organization, bucketOf(limit)))
    const judges = judgedBy.flatMap(({ type, name, version }) => [
      this.keys.identity(type, organization),
      name,
      // A record without one would be of no reader of this Redis: it can not be known to be the same.
      version ?? '',
    ])
    const behind = provenAt === undefined ? [] : barriersOfProof(record)
    const proof = [provenAt ?? '', judgedBy.length, ...judges, ...behind]
    const tombstone = this.keys.tombstone(organization)
    const values = [ttlSeconds, text, local, room, perMinute ?? 0, tombstone, ...proof]
    const answer = await fromRedis(() => createCredential(this.redis, keys, values))
    if (answer === 'judge-changed') throw judgeChanged()
    if (answer === 'behind-barrier') throw behindBarrier()
    if (answer === 'no-organization') {
      throw new DomainError('store-unavailable', 'the organization of the credential has gone meanwhile')
    }
    if (limit !== undefined && typeof answer === 'number') throw new RateExceeded(limit, answer / 1000)
    if (!Array.isArray(answer)) {
      throw new DomainError('credential-exists', 'the username of the new credential is taken')
    }
    const [head, ...victims] = answer as string[]
    await Promise.all(victims.map((victim) => this.#end(organization, victim, record)))
    const [issuedAt = '', expiresAt = ''] = (head ?? '').split(' ')
    return { ...record, issuedAt: Number(issuedAt), expiresAt: Number(expiresAt) }
  }

  async raiseBarrier(
    organization: OrganizationId,
    target: BarrierTarget,
    issuedBefore?: number,
  ): Promise<Raised> {
    const keys = [this.keys.barriers(organization)]
    const at = await fromRedis(() => raiseBarrier(this.redis, keys, [target, issuedBefore ?? '']))
    const position = await this.log.append({ type: 'barrier', organization, name: target })
    return { at: Number(at), position }
  }

  async revoke(organization: OrganizationId, local: string): Promise<Revoked> {
    const text = await fromRedis(() => this.redis.get(this.keys.credential(organization, local)))
    // One that can not be read has to go all the same; what lists it ends by itself.
    const record = text === null ? undefined : decodeOrNothing(text)
    const { wasThere, untold } = await this.#remove(organization, local, record)
    const positions = [await this.log.append({ type: 'credential', organization, name: local })]
    if (untold === undefined) return { wasThere, positions }
    const principal = untold.of as Principal
    if (await this.#isGone(organization, principal)) {
      const name = formatMoment({ at: untold.at, of: principal })
      positions.push(await this.log.append({ type: 'principal', organization, name }))
    }
    await fromRedis(() => this.redis.hdel(this.keys.untold(organization), local))
    return { wasThere: true, positions }
  }

  /** Tells of what was revoked by a process that ended before it had told all of it. */
  async finishRevocations(organization: OrganizationId): Promise<void> {
    const untold = await fromRedis(() => this.redis.hgetall(this.keys.untold(organization)))
    for (const local of Object.keys(untold)) await this.revoke(organization, local)
  }

  async list(
    organization: OrganizationId,
    { principals, kind, limit, after = { expiresAt: 0, local: '' } }: CredentialQuery,
  ): Promise<CredentialPage> {
    const indexes = principals ?? (kind === undefined ? credentialKinds : [kind])
    const sets = indexes.map((of) => this.keys.credentialsOf(organization, of))
    if (sets.length === 0) return { credentials: [] }
    const values = [after.expiresAt, after.local, limit + 1]
    const answer = (await fromRedis(() => listCredentials(this.redis, sets, values))) as string[]
    const found = positionsOf(answer).sort(comparePositions)
    const page = found.slice(0, limit)
    const credentials = (await this.#read(organization, page)).filter(
      (one) => kind === undefined || one.kind === kind,
    )
    const last = page.at(-1)
    return last === undefined || found.length <= limit ? { credentials } : { credentials, next: last }
  }

  /** Nothing of it lives. One that stands for nobody but itself goes with its credential. */
  async #isGone(organization: OrganizationId, principal: Principal): Promise<boolean> {
    if (principal.startsWith('tmp:')) return false
    let after: CredentialPosition | undefined
    do {
      const page = { principals: [principal], limit: 100, ...(after === undefined ? {} : { after }) }
      const { credentials, next } = await this.list(organization, page)
      // A page of those behind a barrier is empty, and not the last one.
      if (credentials.length > 0) return false
      after = next
    } while (after !== undefined)
    return true
  }

  /** In one step with a note of what is still to be told, and of whom; that is there too where it was removed before. */
  async #remove(
    organization: OrganizationId,
    local: string,
    record: IssuedCredential | undefined,
  ): Promise<{ readonly wasThere: boolean; readonly untold: Moment | undefined }> {
    const key = this.keys.credential(organization, local)
    const sets = record === undefined ? [] : this.keysOf(organization, local, record).slice(1)
    const keys = [key, this.keys.untold(organization), ...sets]
    const values = [local, record?.principal ?? '', untoldSeconds]
    const answer = await fromRedis(() => removeCredential(this.redis, keys, values))
    const [removed, note = ''] = answer as [number, string?]
    return { wasThere: removed === 1, untold: parseMoment(note) }
  }

  async #read(
    organization: OrganizationId,
    page: readonly CredentialPosition[],
  ): Promise<readonly ListedCredential[]> {
    if (page.length === 0) return []
    const keys = page.map(({ local }) => this.keys.credential(organization, local))
    const texts = await fromRedis(() => this.redis.mget(keys))
    const read = page.flatMap(({ local }, index) => {
      const text = texts[index]
      return typeof text === 'string' ? [{ ...decode(text), local }] : []
    })
    const targets = [...new Set(read.flatMap(barriersOf))]
    const times = await this.barriers(organization, targets)
    const raised = new Map(targets.map((target, index) => [target, times[index] ?? 0]))
    return read.filter((one) => barriersOf(one).every((target) => one.issuedAt > (raised.get(target) ?? 0)))
  }

  /** Others of its principal live. It leaves the sets last: one that could not be told is found there, and told, again. */
  async #end(
    organization: OrganizationId,
    local: string,
    record: Pick<CredentialRecord, 'principal' | 'kind'>,
  ): Promise<void> {
    const [key, ...sets] = this.keysOf(organization, local, record)
    await fromRedis(() => this.redis.del(key))
    await this.log.append({ type: 'credential', organization, name: local })
    await fromRedis(() => Promise.all(sets.map((set) => this.redis.zrem(set, local))))
  }
}

function positionsOf(answer: readonly string[]): CredentialPosition[] {
  const positions: CredentialPosition[] = []
  for (let index = 0; index + 1 < answer.length; index += 2) {
    positions.push({ local: answer[index] ?? '', expiresAt: Number(answer[index + 1]) })
  }
  return positions
}

const shape = /^(\d{1,15}) (\d{1,15}) (.*)$/s

function decode(text: string): IssuedCredential {
  const [, issuedAt, expiresAt, record] = shape.exec(text) ?? []
  return { ...codec.decode(record ?? ''), issuedAt: Number(issuedAt), expiresAt: Number(expiresAt) }
}

function decodeOrNothing(text: string): IssuedCredential | undefined {
  try {
    return decode(text)
  } catch {
    return undefined
  }
}
