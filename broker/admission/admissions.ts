import { isDeepStrictEqual } from 'node:util'
import type { Access } from '#core/access/access.ts'
import type { AccessPolicy } from '#core/access/access-policy.ts'
import { listsOf } from '#core/access/access-policy.ts'
import type { Clock } from '#core/clock.ts'
import { isTemporary, parseUsername, type Username } from '#core/credentials/username.ts'
import {
  dummyVerifier,
  type Verifier,
  type VerifierBinding,
  verifySecret,
} from '#core/credentials/verifier.ts'
import { type Attributes, attributesOfConnection } from '#core/identity/attributes.ts'
import { DomainError } from '#core/errors.ts'
import { type Principal, userPrincipal } from '#core/identity/principal.ts'
import { organizationRecordName } from '#core/stores/identity-records.ts'
import type { CredentialReader } from '#core/stores/credential-store.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import type { OrganizationRecord } from '#core/organizations/organization-record.ts'
import { AccessMemo } from './access-memo.ts'
import type { Admission, Admitted } from './admission.ts'

export interface AdmissionsOptions {
  readonly identities: IdentityReader
  readonly credentials: CredentialReader
  readonly now: Clock
}

/** What CONNECT brings, as text. */
export interface Claim {
  readonly username: string
  readonly password: string
  readonly clientId: string
}

/** A user or a temporary credential, in the same shape. */
interface Candidate {
  readonly principal: Principal
  readonly uid: string
  readonly suspended: boolean
  readonly verifiers: readonly { readonly verifier: Verifier; readonly notAfter?: number }[]
  readonly policy: AccessPolicy
  readonly attributes: Attributes
  readonly expiresAt?: number
  readonly clientId?: string
}

/** Decides who gets in, and whether they may stay. Neither method rejects. */
export class Admissions {
  readonly #options: AdmissionsOptions
  readonly #accesses = new AccessMemo()

  constructor(options: AdmissionsOptions) {
    this.#options = options
  }

  async admit(claim: Claim): Promise<Admitted> {
    try {
      return await this.#admit(claim)
    } catch (cause) {
      return { refusal: 'unavailable', cause }
    }
  }

  /**
   * Looks again at what somebody was let in as: the admission as it is now, or why it has ended. The password
   * is not asked for again; that its verifier is still valid is enough.
   */
  async review(former: Admission): Promise<Admitted> {
    try {
      return await this.#review(former)
    } catch (cause) {
      return { refusal: 'unavailable', cause }
    }
  }

  /**
   * What somebody who was let in before may do by the records of now; undefined when they would not be let in
   * again. Rejects when the records can not be read.
   */
  async accessOf(
    { local, organization, uid }: Username & { readonly uid: string },
    clientId: string,
  ): Promise<Access | undefined> {
    const name = { local, organization }
    const [record, candidate] = await this.#read(name)
    if (record === undefined || candidate === undefined) {
      if (await this.#options.identities.isReady()) return undefined
      throw new DomainError('store-unavailable', 'the records are still on their way')
    }
    if (candidate.uid !== uid || this.#hasExpired(candidate)) return undefined
    if (record.suspended || candidate.suspended) return undefined
    return (await this.#admission(name, record, candidate, dummyVerifier, clientId)).access
  }

  async #admit({ username, password, clientId }: Claim): Promise<Admitted> {
    const name = parseUsername(username)
    const [organization, candidate] = name === undefined ? [] : await this.#read(name)
    const verifier = await this.#verifierOf(candidate, password, name)
    if (name === undefined || organization === undefined || candidate === undefined) {
      // Nobody drops a good password because the records are still on their way.
      return (await this.#options.identities.isReady()) ? refused('bad-credentials') : refused('unavailable')
    }
    if (verifier === undefined || this.#hasExpired(candidate)) return refused('bad-credentials')
    if (organization.suspended || candidate.suspended) return refused('suspended')
    if (candidate.clientId !== undefined && candidate.clientId !== clientId) return refused('client-id')
    return { admission: await this.#admission(name, organization, candidate, verifier, clientId) }
  }

  async #review(former: Admission): Promise<Admitted> {
    const name = { local: former.source.name, organization: former.organizationId }
    const [organization, candidate] = await this.#read(name)
    if (organization === undefined || candidate === undefined) {
      return (await this.#options.identities.isReady()) ? refused('bad-credentials') : refused('unavailable')
    }
    const isStillValid = this.#validVerifiers(candidate).some((one) =>
      isDeepStrictEqual(one, former.verifier),
    )
    if (!isStillValid || candidate.uid !== former.uid || this.#hasExpired(candidate)) {
      return refused('bad-credentials')
    }
    if (organization.suspended || candidate.suspended) return refused('suspended')
    const clientId = former.attributes['client_id'] ?? ''
    return { admission: await this.#admission(name, organization, candidate, former.verifier, clientId) }
  }

  #read(name: Username): Promise<[OrganizationRecord | undefined, Candidate | undefined]> {
    const organization = this.#options.identities.get(
      'organization',
      name.organization,
      organizationRecordName,
    )
    return Promise.all([organization, isTemporary(name.local) ? this.#credential(name) : this.#user(name)])
  }

  async #user({ organization, local }: Username): Promise<Candidate | undefined> {
    const record = await this.#options.identities.get('user', organization, local)
    if (record === undefined) return undefined
    const { uid, suspended, verifiers, access } = record
    return { principal: userPrincipal(local), uid, suspended, verifiers, policy: access, attributes: {} }
  }

  async #credential({ organization, local }: Username): Promise<Candidate | undefined> {
    const record = await this.#options.credentials.get(organization, local)
    if (record === undefined) return undefined
    const { principal, attributes, verifier, access, expiresAt, issuedAt, clientId } = record
    return {
      principal,
      uid: String(issuedAt),
      suspended: false,
      verifiers: [{ verifier }],
      policy: access,
      attributes,
      expiresAt,
      ...(clientId === undefined ? {} : { clientId }),
    }
  }

  /** Which of the candidate's verifiers accepts the password. Takes as long when there is no candidate. */
  async #verifierOf(
    candidate: Candidate | undefined,
    password: string,
    name: Username | undefined,
  ): Promise<Verifier | undefined> {
    const binding = bindingOf(name)
    const verifiers = candidate === undefined ? [] : this.#validVerifiers(candidate)
    if (verifiers.length === 0) await verifySecret(password, dummyVerifier, binding)
    for (const verifier of verifiers) if (await verifySecret(password, verifier, binding)) return verifier
    return undefined
  }

  #validVerifiers({ verifiers }: Candidate): Verifier[] {
    const now = this.#options.now()
    return verifiers
      .filter(({ notAfter }) => notAfter === undefined || notAfter > now)
      .map((one) => one.verifier)
  }

  #hasExpired({ expiresAt }: Candidate): boolean {
    return expiresAt !== undefined && expiresAt <= this.#options.now()
  }

  async #admission(
    name: Username,
    organization: OrganizationRecord,
    candidate: Candidate,
    verifier: Verifier,
    clientId: string,
  ): Promise<Admission> {
    const lists = listsOf(candidate.policy, organization.defaultLists)
    const found = await this.#options.identities.getMany('access-list', name.organization, lists)
    const attributes = attributesOfConnection(candidate.attributes, name, clientId)
    return {
      organizationId: name.organization,
      organization,
      principal: candidate.principal,
      source: { type: isTemporary(name.local) ? 'credential' : 'user', name: name.local },
      uid: candidate.uid,
      verifier,
      attributes,
      access: this.#accesses.resolve(candidate.policy, organization, found, attributes),
      ...(candidate.expiresAt === undefined ? {} : { expiresAt: candidate.expiresAt }),
    }
  }
}

function refused(refusal: 'bad-credentials' | 'suspended' | 'client-id' | 'unavailable'): Admitted {
  return { refusal }
}

/** The same work for a name that can not be one. */
function bindingOf(name: Username | undefined): VerifierBinding {
  if (name === undefined) return { kind: 'user', name: '' }
  return {
    kind: isTemporary(name.local) ? 'temporary' : 'user',
    name: `${name.local}@${name.organization}`,
  }
}
