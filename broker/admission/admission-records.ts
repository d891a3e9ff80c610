import type { AccessPolicy, FoundLists } from '#core/access/access-policy.ts'
import { listsOf } from '#core/access/access-policy.ts'
import { barriersOf, type BarrierTarget } from '#core/credentials/barrier.ts'
import type { IssuedCredential } from '#core/credentials/credential-record.ts'
import type { UserRecord } from '#core/credentials/user-record.ts'
import { isTemporary, type Username } from '#core/credentials/username.ts'
import type { Verifier } from '#core/credentials/verifier.ts'
import type { Attributes } from '#core/identity/attributes.ts'
import { type Principal, userPrincipal } from '#core/identity/principal.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { OrganizationRecord } from '#core/organizations/organization-record.ts'
import type { CredentialReader } from '#core/stores/credential-store.ts'
import { organizationRecordName } from '#core/stores/identity-records.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import type { Basis, RecordVersion } from './admission.ts'

/** What a password may be checked against, and until when, in ms since the epoch. */
export interface ValidVerifier {
  readonly verifier: Verifier
  readonly notAfter?: number
}

/** A user or a temporary credential, in the same shape. */
export interface Candidate {
  readonly principal: Principal
  readonly uid: string
  readonly suspended: boolean
  readonly verifiers: readonly ValidVerifier[]
  readonly policy: AccessPolicy
  readonly attributes: Attributes
  readonly expiresAt?: number
  readonly issuedAt?: number
  readonly isFinal?: boolean
  readonly clientId?: string
  /** Of its own, beside those of the organization. */
  readonly limits?: UserRecord['limits']
  /** Those that may end it. */
  readonly barriers: readonly BarrierTarget[]
  /** What it was made of. */
  readonly record: UserRecord | IssuedCredential
}

/** Who somebody may be, and where. */
export interface Known {
  readonly organization: OrganizationRecord | undefined
  readonly candidate: Candidate | undefined
}

/** Both of them are there. */
export type Found = Pick<Facts, 'organization' | 'candidate'>

/** All that decides on somebody. */
export interface Facts {
  readonly organization: OrganizationRecord
  readonly candidate: Candidate
  readonly lists: FoundLists
  /** What all that was made of. */
  readonly basis: Basis
}

/** The records that admission looks at, as they are or as they were read last. */
export class AdmissionRecords {
  /** Of each user, for as long as the records are the same ones. */
  readonly #recalled = new WeakMap<UserRecord, Facts>()
  readonly #identities: IdentityReader
  readonly #credentials: CredentialReader

  constructor(identities: IdentityReader, credentials: CredentialReader) {
    this.#identities = identities
    this.#credentials = credentials
  }

  async read(name: Username): Promise<Known> {
    const [organization, candidate] = await Promise.all([
      this.#identities.get('organization', name.organization, organizationRecordName),
      isTemporary(name.local) ? this.#readCredential(name) : this.#readUser(name),
    ])
    return { organization, candidate }
  }

  async readFacts(name: Username, { organization, candidate }: Found): Promise<Facts> {
    const lists = await this.readLists(name, listsOf(candidate.policy, organization.defaultLists))
    return { organization, candidate, lists, basis: this.#basisOf(name, organization, candidate, lists) }
  }

  readLists({ organization }: Username, names: readonly string[]): Promise<FoundLists> {
    return this.#identities.getMany('access-list', organization, names)
  }

  /**
   * Undefined unless all of them are remembered. Temporary credentials are not: each is used a few times at most.
   */
  recallFacts(name: Username): Facts | undefined {
    const { organization: id, local } = name
    const organization = this.#identities.recall('organization', id, organizationRecordName)
    const user = this.#identities.recall('user', id, local)
    if (organization === undefined || user === undefined) return undefined
    const known = this.#recalled.get(user)
    if (known?.organization === organization && this.#areStill(id, known.lists)) return known
    const candidate = userCandidate(local, user)
    const lists = this.#recallLists(id, listsOf(candidate.policy, organization.defaultLists))
    if (lists === undefined) return undefined
    const basis = this.#basisOf(name, organization, candidate, lists)
    const facts = { organization, candidate, lists, basis }
    this.#recalled.set(user, facts)
    return facts
  }

  #areStill(organization: OrganizationId, lists: FoundLists): boolean {
    for (const [name, list] of lists) {
      if (this.#identities.recall('access-list', organization, name) !== list) return false
    }
    return true
  }

  #recallLists(organization: OrganizationId, names: readonly string[]): FoundLists | undefined {
    const found = new Map<string, NonNullable<ReturnType<FoundLists['get']>>>()
    for (const name of names) {
      const list = this.#identities.recall('access-list', organization, name)
      if (list === undefined) return undefined
      found.set(name, list)
    }
    return found
  }

  /** Versions of all that a decision was made of. */
  #basisOf(
    { local }: Username,
    organization: OrganizationRecord,
    candidate: Candidate,
    lists: FoundLists,
  ): Basis {
    const version = this.#identities.versionOf(organization)
    if (version === undefined) return []
    const names = listsOf(candidate.policy, organization.defaultLists)
    return [
      { type: 'organization', name: organizationRecordName, version },
      ...this.#versionsOfCandidate(local, candidate),
      ...names.map((name): RecordVersion => {
        const list = lists.get(name)
        return { type: 'access-list', name, version: (list && this.#identities.versionOf(list)) ?? '' }
      }),
    ]
  }

  /** False until every record is there; a missing one then means 'not yet'. */
  isReady(): Promise<boolean> {
    return this.#identities.isReady()
  }

  #versionsOfCandidate(name: string, { record, barriers }: Candidate): readonly RecordVersion[] {
    if (!('issuedAt' in record)) {
      return [{ type: 'user', name, version: this.#identities.versionOf(record) ?? '' }]
    }
    const issuedAt = String(record.issuedAt)
    return [
      { type: 'credential', name, version: this.#credentials.versionOf(record) ?? '' },
      ...barriers.map((barrier): RecordVersion => ({ type: 'barrier', name: barrier, version: issuedAt })),
    ]
  }

  async #readUser({ organization, local }: Username): Promise<Candidate | undefined> {
    const record = await this.#identities.get('user', organization, local)
    return record === undefined ? undefined : userCandidate(local, record)
  }

  async #readCredential({ organization, local }: Username): Promise<Candidate | undefined> {
    const record = await this.#credentials.get(organization, local)
    if (record === undefined) return undefined
    const { principal, attributes, verifier, access, expiresAt, issuedAt, clientId, isFinal, connections } =
      record
    return {
      principal,
      uid: String(issuedAt),
      suspended: false,
      verifiers: [{ verifier }],
      policy: access,
      attributes,
      expiresAt,
      issuedAt,
      barriers: barriersOf(record),
      record,
      ...(clientId === undefined ? {} : { clientId }),
      ...(connections === undefined ? {} : { limits: { connections } }),
      ...(isFinal === undefined ? {} : { isFinal }),
    }
  }
}

function userCandidate(local: string, record: UserRecord): Candidate {
  const { uid, suspended, verifiers, access: policy, limits } = record
  return {
    principal: userPrincipal(local),
    uid,
    suspended,
    verifiers,
    policy,
    attributes: {},
    barriers: [],
    record,
    limits,
  }
}
