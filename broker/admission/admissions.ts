import type { X509Certificate } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { Access } from '#core/access/access.ts'
import { listsOf, resolveAccess } from '#core/access/access-policy.ts'
import type { Clock } from '#core/clock.ts'
import { longestLife } from '#core/credentials/renew-credential.ts'
import { isTemporary, parseUsername, type Username } from '#core/credentials/username.ts'
import { dummyVerifier, type VerifierBinding, verifyGenerated } from '#core/credentials/verifier.ts'
import { DomainError } from '#core/errors.ts'
import { attributesOfConnection } from '#core/identity/attributes.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { OrganizationRecord } from '#core/organizations/organization-record.ts'
import type { CredentialReader } from '#core/stores/credential-store.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import type { PublishRates } from '../connection/publish-rate.ts'
import type { ConnectionBounds } from '../cluster/client-registry.ts'
import type { Standing, WillAuthor } from '../cluster/stored-will.ts'
import { AccessMemo } from './access-memo.ts'
import {
  AdmissionRecords,
  type Candidate,
  type Facts,
  type Found,
  type Known,
  type ValidVerifier,
} from './admission-records.ts'
import type { Admission, Admitted, Proof, Refusal } from './admission.ts'
import { proofOf } from './client-certificate.ts'
import { PasswordChecks, TooManyPasswords } from './password-checks.ts'

export interface AdmissionsOptions {
  readonly identities: IdentityReader
  readonly credentials: CredentialReader
  readonly now: Clock
  readonly passwords?: PasswordChecks
}

/** What CONNECT brings, as text. */
export interface Claim {
  readonly username: string
  readonly password: string
  readonly clientId: string
  /** Instead of a password. */
  readonly certificate?: X509Certificate | undefined
}

/** Decides who gets in, and whether they may stay. No method rejects unless it says so. */
export class Admissions {
  readonly #records: AdmissionRecords
  readonly #now: Clock
  readonly #passwords: PasswordChecks
  readonly #accesses = new AccessMemo()

  constructor({ identities, credentials, now, passwords }: AdmissionsOptions) {
    this.#records = new AdmissionRecords(identities, credentials)
    this.#now = now
    this.#passwords = passwords ?? new PasswordChecks(() => performance.now())
  }

  /**
   * By the records as they were read last, where these let the client in; otherwise by those of now. Whoever goes
   * on sees to it that the basis still holds.
   */
  admit(claim: Claim): Promise<Admitted> | Admitted {
    return this.#admitAsRecalled(claim) ?? this.admitAgain(claim)
  }

  /** By the records of now. */
  admitAgain(claim: Claim): Promise<Admitted> {
    return unlessUnavailable(() => this.#admitNow(claim))
  }

  /**
   * Looks again at what somebody was let in as: the admission as it is now, or why it has ended. The password
   * is not asked for again; that its verifier is still valid is enough.
   */
  review(former: Admission): Promise<Admitted> {
    return unlessUnavailable(async () => {
      const name = { local: former.source.name, organization: former.organizationId }
      const { organization, candidate } = await this.#records.read(name)
      if (organization === undefined || candidate === undefined) {
        return this.#refuseUnknown(unknownOf(name, organization))
      }
      const still = this.#stillProven(name, organization, candidate, former.proof)
      if ('refusal' in still) return still
      if (candidate.uid !== former.uid) return refused('wrong-password')
      const clientId = former.attributes['client_id'] ?? ''
      return this.#letIn(name, { organization, candidate }, still, clientId)
    })
  }

  /**
   * What somebody who was let in before may do by the records of now; undefined when they would not be let in
   * again, but for a credential that is over: its will is judged as if it were not, where the organization has wills
   * published on expiry. Rejects when the records can not be read.
   */
  async accessOf(
    organization: OrganizationId,
    { source, uid, clientId, standing }: WillAuthor,
  ): Promise<Access | undefined> {
    const name = { local: source.name, organization }
    const known = await this.#records.read(name)
    if (known.organization === undefined || known.candidate === undefined) {
      const isOver = known.organization !== undefined && standing !== undefined
      if (isOver) return this.#accessAfterEnd(name, known.organization, standing)
      if (await this.#records.isReady()) return undefined
      throw new DomainError('store-unavailable', 'the records are still on their way')
    }
    if (known.candidate.uid !== uid) return undefined
    const { organization: record, candidate } = known
    const admitted = await this.#letIn(name, { organization: record, candidate }, anyProof, clientId)
    return 'admission' in admitted ? admitted.admission.access : undefined
  }

  async #accessAfterEnd(
    name: Username,
    organization: OrganizationRecord,
    { policy, attributes }: Standing,
  ): Promise<Access | undefined> {
    if (organization.suspended || organization.willOnExpiry === 'discard') return undefined
    const lists = await this.#records.readLists(name, listsOf(policy, organization.defaultLists))
    return resolveAccess(policy, organization.defaultLists, lists, attributes)
  }

  /** Undefined unless it lets the client in. */
  #admitAsRecalled(claim: Claim): Admitted | undefined {
    const name = parseUsername(claim.username)
    if (name === undefined || isTemporary(name.local) || claim.certificate !== undefined) return undefined
    const facts = this.#records.recallFacts(name)
    const verifier = facts && this.#generatedVerifierOf(facts.candidate, claim.password, name)
    if (facts === undefined || verifier === undefined) return undefined
    const admitted = this.#judge(name, facts, verifier, claim.clientId)
    return 'admission' in admitted ? admitted : undefined
  }

  async #admitNow({ username, password, clientId, certificate }: Claim): Promise<Admitted> {
    const name = parseUsername(username)
    const { organization, candidate }: Partial<Known> =
      name === undefined ? {} : await this.#records.read(name)
    const verifier = certificate === undefined ? await this.#verifierOf(candidate, password, name) : undefined
    if (name === undefined || organization === undefined || candidate === undefined) {
      return this.#refuseUnknown(unknownOf(name, organization))
    }
    const proven = certificate === undefined ? verifier : this.#byCertificate(certificate, name, organization)
    if (proven === undefined) return refused('wrong-password')
    if ('refusal' in proven) return proven
    return this.#letIn(name, { organization, candidate }, proven, clientId)
  }

  #byCertificate(
    certificate: X509Certificate,
    name: Username,
    { clientAuthorities = [] }: OrganizationRecord,
  ): Proof | Refused {
    const proof = proofOf(certificate, name, clientAuthorities, this.#now())
    if ('fault' in proof) return { refusal: 'wrong-certificate', cause: new Error(proof.fault) }
    return { certificate, notAfter: proof.notAfter }
  }

  /** What it was proven by, by the records of now. */
  #stillProven(
    name: Username,
    organization: OrganizationRecord,
    candidate: Candidate,
    proof: Proof,
  ): Proof | Refused {
    if ('certificate' in proof) return this.#byCertificate(proof.certificate, name, organization)
    const still = this.#validVerifiers(candidate).find(({ verifier }) =>
      isDeepStrictEqual(verifier, proof.verifier),
    )
    return still ?? { refusal: 'wrong-password' }
  }

  /** Nobody drops a good password because the records are still on their way. */
  async #refuseUnknown(refusal: Refusal): Promise<Admitted> {
    return refused((await this.#records.isReady()) ? refusal : 'unavailable')
  }

  async #letIn(name: Username, found: Found, proof: Proof, clientId: string): Promise<Admitted> {
    return this.#judge(name, await this.#records.readFacts(name, found), proof, clientId)
  }

  #judge(
    name: Username,
    { organization, candidate, lists, basis }: Facts,
    proof: Proof,
    clientId: string,
  ): Admitted {
    const { issuedAt, principal, policy, uid } = candidate
    const expiresAt = smaller(candidate.expiresAt, proof.notAfter)
    if (expiresAt !== undefined && expiresAt <= this.#now()) return refused('credential-expired')
    if (organization.suspended) return refused('organization-suspended')
    if (candidate.suspended) return refused('user-suspended')
    if (candidate.clientId !== undefined && candidate.clientId !== clientId) return refused('wrong-client-id')
    const attributes = attributesOfConnection(candidate.attributes, name, clientId)
    const admission: Admission = {
      organizationId: name.organization,
      organization,
      principal,
      source: { type: isTemporary(name.local) ? 'credential' : 'user', name: name.local },
      uid,
      proof,
      attributes,
      policy,
      access: this.#accesses.resolve(policy, organization, lists, attributes),
      barriers: candidate.barriers,
      connections: boundsOf(organization, candidate),
      rates: ratesOf(organization, candidate),
      ...(expiresAt === undefined ? {} : { expiresAt }),
      ...(issuedAt === undefined ? {} : lifeOf(organization, { ...candidate, issuedAt })),
    }
    return { admission, basis }
  }

  /** Which of the candidate's verifiers accepts the password. Takes as long when there is no candidate. */
  async #verifierOf(
    candidate: Candidate | undefined,
    password: string,
    name: Username | undefined,
  ): Promise<ValidVerifier | undefined> {
    const binding = bindingOf(name)
    const verifiers = candidate === undefined ? [] : this.#validVerifiers(candidate)
    if (verifiers.length === 0) await this.#passwords.isRight(password, dummyVerifier, binding)
    for (const one of verifiers) {
      if (await this.#passwords.isRight(password, one.verifier, binding)) return one
    }
    return undefined
  }

  /** Verified again when it fails here: nothing that people choose is looked at, which costs too much for that. */
  #generatedVerifierOf(candidate: Candidate, password: string, name: Username): ValidVerifier | undefined {
    const binding = bindingOf(name)
    return this.#validVerifiers(candidate).find(
      ({ verifier }) => verifier.algorithm === 'sha256' && verifyGenerated(password, verifier, binding),
    )
  }

  #validVerifiers({ verifiers }: Candidate): ValidVerifier[] {
    const now = this.#now()
    return verifiers.filter(({ notAfter }) => notAfter === undefined || notAfter > now)
  }
}

/** Where nobody is to be let in, but what they may do is asked. */
const anyProof: Proof = { verifier: dummyVerifier }

type Refused = Extract<Admitted, { readonly refusal: Refusal }>

async function unlessUnavailable(decide: () => Promise<Admitted>): Promise<Admitted> {
  try {
    return await decide()
  } catch (cause) {
    if (cause instanceof TooManyPasswords) return refused('busy')
    return { refusal: 'unavailable', cause }
  }
}

function lifeOf(
  organization: OrganizationRecord,
  candidate: Candidate & { readonly issuedAt: number },
): Pick<Admission, 'issuedAt' | 'renewableUntil'> {
  const { issuedAt } = candidate
  return { issuedAt, renewableUntil: issuedAt + longestLife(organization, candidate) * 1_000 }
}

function boundsOf({ limits }: OrganizationRecord, { limits: own }: Candidate): ConnectionBounds {
  const principal = smaller(limits.connectionsPerUser, own?.connections)
  return {
    ...(limits.connections === undefined ? {} : { organization: limits.connections }),
    ...(principal === undefined ? {} : { principal }),
  }
}

function ratesOf({ limits }: OrganizationRecord, { limits: own }: Candidate): PublishRates {
  const messages = smaller(limits.messageRate, own?.messageRate)
  const bytes = smaller(limits.byteRate, own?.byteRate)
  return { ...(messages === undefined ? {} : { messages }), ...(bytes === undefined ? {} : { bytes }) }
}

function smaller(one: number | undefined, other: number | undefined): number | undefined {
  const least = Math.min(one ?? Infinity, other ?? Infinity)
  return least === Infinity ? undefined : least
}

function refused(refusal: Refusal): Admitted {
  return { refusal }
}

function unknownOf(name: Username | undefined, organization: OrganizationRecord | undefined): Refusal {
  if (name === undefined) return 'malformed-username'
  if (organization === undefined) return 'unknown-organization'
  return isTemporary(name.local) ? 'unknown-credential' : 'unknown-user'
}

/** The same work for a name that can not be one. */
function bindingOf(name: Username | undefined): VerifierBinding {
  if (name === undefined) return { kind: 'user', name: '' }
  return {
    kind: isTemporary(name.local) ? 'temporary' : 'user',
    name: `${name.local}@${name.organization}`,
  }
}
