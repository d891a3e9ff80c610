import {
  barrierOfRecord,
  barriersOf,
  barriersOfProof,
  type BarrierTarget,
  issuedEnds,
} from '#core/credentials/barrier.ts'
import type { Clock } from '#core/clock.ts'
import type { CredentialRecord, IssuedCredential } from '#core/credentials/credential-record.ts'
import { DomainError } from '#core/errors.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { Principal } from '#core/identity/principal.ts'
import { type ControlLogWriter, formatMoment } from './control-log.ts'
import {
  comparePositions,
  type CredentialPage,
  type CredentialQuery,
  type CredentialStore,
  type Extension,
  type ListedCredential,
  behindBarrier,
  type IssueBounds,
  type Judge,
  judgeChanged,
  subjectLimit,
  type Raised,
  type Revoked,
} from './credential-store.ts'
import { MemoryBarriers } from './memory-barriers.ts'
import { MemoryRateLimiter } from './memory-rate-limiter.ts'
import { RateExceeded, type RateLimiter } from './rate-limiter.ts'
import type { Tombstone } from './tombstone.ts'

/** The same contract in one process. What has expired is dropped when it is met, and at each change. */
export class MemoryCredentialStore implements CredentialStore {
  readonly #credentials = new Map<OrganizationId, Map<string, IssuedCredential>>()
  readonly #barriers: MemoryBarriers
  readonly #log: ControlLogWriter
  readonly #now: Clock
  readonly #limiter: RateLimiter

  constructor(log: ControlLogWriter, now: Clock, barriers: MemoryBarriers = new MemoryBarriers(now)) {
    this.#log = log
    this.#barriers = barriers
    this.#now = now
    this.#limiter = new MemoryRateLimiter(now)
  }

  async get(organization: OrganizationId, local: string): Promise<IssuedCredential | undefined> {
    const credential = this.#live(organization).get(local)
    return credential === undefined ? undefined : structuredClone(credential)
  }

  versionOf(): undefined {}

  async create(
    organization: OrganizationId,
    local: string,
    record: CredentialRecord,
    ttlSeconds: number,
    { replace = false, most = Infinity, perMinute, provenAt = Infinity, judgedBy = [] }: IssueBounds = {},
  ): Promise<IssuedCredential> {
    const live = this.#live(organization)
    if (live.has(local)) {
      throw new DomainError('credential-exists', 'the username of the new credential is taken')
    }
    if (provenAt <= (await this.barrierOf(organization, barriersOfProof(record)))) throw behindBarrier()
    if (judgedBy.some((judge) => this.#hasChanged(organization, judge))) throw judgeChanged()
    await this.#takeOne(organization, record.principal, perMinute)
    const room = replace ? 0 : most - 1
    const same = listed(live).filter(({ principal }) => principal === record.principal)
    const victims = same.slice(0, Math.max(0, same.length - room))
    const issuedAt = this.#now()
    const credential = structuredClone({ ...record, issuedAt, expiresAt: issuedAt + ttlSeconds * 1000 })
    live.set(local, credential)
    for (const victim of victims) await this.revoke(organization, victim.local)
    return structuredClone(credential)
  }

  async extend(
    organization: OrganizationId,
    local: string,
    ttlSeconds: number,
    longestSeconds: number,
    { perMinute, attributes }: Extension = {},
  ): Promise<IssuedCredential | undefined> {
    const live = this.#live(organization)
    const former = live.get(local)
    if (former === undefined) return undefined
    await this.#takeOne(organization, former.principal, perMinute)
    const wanted = Math.min(this.#now() + ttlSeconds * 1000, former.issuedAt + longestSeconds * 1000)
    const credential = {
      ...former,
      ...(attributes === undefined ? {} : { attributes: { ...attributes } }),
      expiresAt: Math.max(former.expiresAt, wanted),
    }
    live.set(local, credential)
    await this.#log.append({ type: 'credential', organization, name: local })
    return structuredClone(credential)
  }

  async revoke(organization: OrganizationId, local: string): Promise<Revoked> {
    const live = this.#live(organization)
    const principal = live.get(local)?.principal
    const wasThere = live.delete(local)
    const positions = [await this.#log.append({ type: 'credential', organization, name: local })]
    const isLast = ![...live.values()].some((other) => other.principal === principal)
    if (principal === undefined || principal.startsWith('tmp:') || !isLast) return { wasThere, positions }
    const name = formatMoment({ at: this.#now(), of: principal })
    positions.push(await this.#log.append({ type: 'principal', organization, name }))
    return { wasThere, positions }
  }

  async raiseBarrier(
    organization: OrganizationId,
    target: BarrierTarget,
    issuedBefore?: number,
  ): Promise<Raised> {
    const at = this.#barriers.raise(organization, target, issuedBefore)
    return { at, position: await this.#log.append({ type: 'barrier', organization, name: target }) }
  }

  async barrierOf(organization: OrganizationId, targets: readonly BarrierTarget[]): Promise<number> {
    return this.#barriers.latest(organization, targets) ?? 0
  }

  /** The organization is gone: its credentials are, and where nothing is kept for another one of its name, so are barriers. */
  forgetAll({ organization, retains }: Pick<Tombstone, 'organization' | 'retains'>): void {
    this.#credentials.delete(organization)
    if (!retains) this.#barriers.forgetAll(organization)
  }

  async list(
    organization: OrganizationId,
    { principals, kind, limit, after }: CredentialQuery,
  ): Promise<CredentialPage> {
    const found = listed(this.#live(organization))
      .filter((one) => principals === undefined || principals.includes(one.principal))
      .filter((one) => kind === undefined || one.kind === kind)
      .filter((one) => after === undefined || comparePositions(one, after) > 0)
    const credentials = structuredClone(found.slice(0, limit))
    const last = credentials.at(-1)
    if (last === undefined || found.length <= limit) return { credentials }
    return { credentials, next: { expiresAt: last.expiresAt, local: last.local } }
  }

  async #takeOne(
    organization: OrganizationId,
    principal: Principal,
    perMinute: number | undefined,
  ): Promise<void> {
    if (perMinute === undefined) return
    const limit = subjectLimit(principal, perMinute)
    const { waitMs } = await this.#limiter.take(organization, [limit])
    if (waitMs > 0) throw new RateExceeded(limit, waitMs)
  }

  /** A record that takes its place and lets in fewer people has a barrier. */
  #hasChanged(organization: OrganizationId, { type, name, readAt }: Judge): boolean {
    const targets = issuedEnds.flatMap((end) => barrierOfRecord(type, name, end) ?? [])
    const raised = this.#barriers.latest(organization, targets)
    return raised !== undefined && raised >= readAt
  }

  #live(organization: OrganizationId): Map<string, IssuedCredential> {
    const live = this.#credentials.get(organization) ?? new Map<string, IssuedCredential>()
    this.#credentials.set(organization, live)
    const now = this.#now()
    for (const [local, credential] of live) {
      const barrier = this.#barriers.latest(organization, barriersOf(credential)) ?? -Infinity
      const isBehind = credential.issuedAt <= barrier
      if (credential.expiresAt <= now || isBehind) live.delete(local)
    }
    return live
  }
}

function listed(live: ReadonlyMap<string, IssuedCredential>): ListedCredential[] {
  return [...live].map(([local, one]) => ({ ...one, local })).sort(comparePositions)
}
