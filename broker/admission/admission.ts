import type { X509Certificate } from 'node:crypto'
import type { AccessPolicy } from '#core/access/access-policy.ts'
import type { ClientRefusal } from '#core/audit/audit-event.ts'
import type { Access } from '#core/access/access.ts'
import type { Verifier } from '#core/credentials/verifier.ts'
import type { PublishRates } from '../connection/publish-rate.ts'
import type { ConnectionBounds } from '../cluster/client-registry.ts'
import type { Attributes } from '#core/identity/attributes.ts'
import type { Principal } from '#core/identity/principal.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { OrganizationRecord } from '#core/organizations/organization-record.ts'

/** What shows who somebody is: the verifier that their password was checked against, or their certificate. */
export type Proof = ({ readonly verifier: Verifier } | { readonly certificate: X509Certificate }) & {
  /** In ms since the epoch. */
  readonly notAfter?: number
}

/** What somebody was let in as. A later look at the records may replace it or end it. */
export interface Admission {
  readonly organizationId: OrganizationId
  readonly organization: OrganizationRecord
  readonly principal: Principal
  /** The record it came from: what a control entry names. */
  readonly source: { readonly type: 'user' | 'credential'; readonly name: string }
  /** Changes when the resource was made anew. */
  readonly uid: string
  readonly proof: Proof
  readonly attributes: Attributes
  readonly access: Access
  /** What that was compiled from, with the lists. */
  readonly policy: AccessPolicy
  /** Ms since the epoch; of a permanent user where the password was rotated and ends, and of a certificate. */
  readonly expiresAt?: number
  /** Of a credential. */
  readonly issuedAt?: number
  /** How long its own password can make it live; in ms since the epoch, of a credential. */
  readonly renewableUntil?: number
  /** Those that may end it; none for a permanent user. */
  readonly barriers: readonly string[]
  /** Most of them at a time, in the whole cluster. */
  readonly connections: ConnectionBounds
  /** Of one connection. */
  readonly rates: PublishRates
}

/** What a decision was made of: the version of each record, '' of one that was not there. */
export interface RecordVersion {
  readonly type: 'organization' | 'user' | 'access-list' | 'credential' | 'barrier'
  readonly name: string
  /** Of a barrier, when what it may end was issued: it holds as long as the barrier is older. */
  readonly version: string
}

/** Empty where nobody changes records between two looks at them. */
export type Basis = readonly RecordVersion[]

/** Why somebody stays out. Clients see one answer for everything that is wrong with a name or a password. */
export type Refusal = Extract<
  ClientRefusal,
  | 'malformed-username'
  | 'unknown-organization'
  | 'unknown-user'
  /** a temporary one that never was, has ended, or was revoked */
  | 'unknown-credential'
  | 'wrong-password'
  | 'wrong-certificate'
  | 'credential-expired'
  | 'organization-suspended'
  | 'user-suspended'
  /** the credential is for another client id */
  | 'wrong-client-id'
  /** too many passwords that people chose come at once */
  | 'busy'
  /** the records can not be read, or are not there yet */
  | 'unavailable'
>

export type Admitted =
  | { readonly admission: Admission; readonly basis: Basis }
  | { readonly refusal: Refusal; readonly cause?: unknown }
