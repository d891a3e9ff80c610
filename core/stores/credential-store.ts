import type { BarrierTarget } from '#core/credentials/barrier.ts'
import type {
  CredentialKind,
  CredentialRecord,
  IssuedCredential,
} from '#core/credentials/credential-record.ts'
import { DomainError } from '#core/errors.ts'
import type { Attributes } from '#core/identity/attributes.ts'
import type { Principal } from '#core/identity/principal.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { RateLimit } from './rate-limiter.ts'

/**
 * Temporary credentials, by organization and local part of the username. The token service writes them, the
 * broker reads them. Times are the store's own, so that a wrong clock on one machine lengthens no life. What has
 * expired leaves nothing behind.
 *
 * Rejections as in IdentityReader.
 */
export interface CredentialReader {
  /** Undefined from `expiresAt` on, after revocation, and behind a barrier. */
  get(organization: OrganizationId, local: string): Promise<IssuedCredential | undefined>
  /** Names the text that this credential was read from; see IdentityReader. */
  versionOf(credential: IssuedCredential): string | undefined
}

/** What may be done for one that lives: nothing can be issued by it, and nothing be ended. */
export interface CredentialRenewer extends CredentialReader {
  /**
   * Lets it live for `ttlSeconds` from now, as far as `longestSeconds` from its first issue allow, and says so in
   * the control log. Never shortens a life. Undefined when it is gone. Counts as one that is issued.
   */
  extend(
    organization: OrganizationId,
    local: string,
    ttlSeconds: number,
    longestSeconds: number,
    bounds?: Extension,
  ): Promise<IssuedCredential | undefined>

  /** When the latest barrier of these was raised, in ms since the epoch; 0 when there is none. */
  barrierOf(organization: OrganizationId, targets: readonly BarrierTarget[]): Promise<number>
}

export interface Extension extends Pick<IssueBounds, 'perMinute'> {
  /** In place of those it had. */
  readonly attributes?: Attributes
}

export interface CredentialStore extends CredentialRenewer {
  /**
   * Never overwrites: rejects with `credential-exists` when the local part is taken, with `behind-barrier` when the
   * proof is, with `judge-changed` when who judged it was changed meanwhile, and with RateExceeded when too many are issued to the principal.
   */
  create(
    organization: OrganizationId,
    local: string,
    record: CredentialRecord,
    ttlSeconds: number,
    bounds?: IssueBounds,
  ): Promise<IssuedCredential>

  /**
   * Ends it now and says so in the control log, also when it was gone already; and that its principal is gone, when it
   * was the last one of that. What ended in between is told when it is revoked again.
   */
  revoke(organization: OrganizationId, local: string): Promise<Revoked>

  /**
   * Ends all of the target's that were issued at or before `issuedBefore`, or before now: one entry in the control
   * log, however many there are. Kept for longer than any credential or identity token lives. Never goes back.
   */
  raiseBarrier(organization: OrganizationId, target: BarrierTarget, issuedBefore?: number): Promise<Raised>

  /** Those that live, the ones that end first first. */
  list(organization: OrganizationId, page: CredentialQuery): Promise<CredentialPage>
}

export interface Revoked {
  readonly wasThere: boolean
  /** Of the entries in the control log, in their order. */
  readonly positions: readonly string[]
}

export interface Raised {
  /** Ms since the epoch, by the store's clock. */
  readonly at: number
  /** Of the entry in the control log. */
  readonly position: string
}

/** What one principal may have. Others of it that end are told in the control log. */
export interface IssueBounds {
  /** All others end. */
  readonly replace?: boolean
  /** So many may live at a time, the new one included: those that would end first make room. */
  readonly most?: number
  /** So many may be issued in a minute. */
  readonly perMinute?: number
  /** When the proof of the identity was issued, in ms since the epoch: before that no barrier counts. */
  readonly provenAt?: number
  readonly judgedBy?: readonly Judge[]
}

/** A record by which it was judged who gets a credential: nothing is issued once that is another. */
export interface Judge {
  readonly type: 'provider' | 'api-key'
  readonly name: string
  /** As IdentityReader.versionOf has it. */
  readonly version: string | undefined
  /** By the store's clock, before it was read: it may have changed since. */
  readonly readAt: number
}

export function judgeChanged(): DomainError {
  return new DomainError('judge-changed', 'what vouches for the identity was changed while it was judged')
}

export function behindBarrier(): DomainError {
  return new DomainError('behind-barrier', 'the proof of the identity was issued before a revocation')
}

/** The bucket that credentials of a principal are taken from. */
export function subjectLimit(principal: Principal, perMinute: number): RateLimit {
  return { name: 'subject', of: principal, perMinute }
}

export interface CredentialQuery {
  readonly principals?: readonly Principal[]
  readonly kind?: CredentialKind
  /** At most so many; there may be more though a page has fewer. */
  readonly limit: number
  /** Where the page before ended. */
  readonly after?: CredentialPosition
}

export interface CredentialPosition {
  readonly expiresAt: number
  readonly local: string
}

export interface CredentialPage {
  readonly credentials: readonly ListedCredential[]
  /** Absent on the last page. */
  readonly next?: CredentialPosition
}

export interface ListedCredential extends IssuedCredential {
  readonly local: string
}

/** The order of pages. */
export function comparePositions(left: CredentialPosition, right: CredentialPosition): number {
  if (left.expiresAt !== right.expiresAt) return left.expiresAt - right.expiresAt
  return left.local < right.local ? -1 : Number(left.local > right.local)
}
