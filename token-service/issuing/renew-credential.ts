import { barriersOfProof } from '#core/credentials/barrier.ts'
import type { IssuedCredential } from '#core/credentials/credential-record.ts'
import {
  type FreshProof,
  type RenewalDependencies as CoreDependencies,
  type RenewalRefusal,
  renewCredential as renew,
} from '#core/credentials/renew-credential.ts'
import { secretKindOf } from '#core/credentials/secret.ts'
import { formatUsername, isTemporary, type Username } from '#core/credentials/username.ts'
import { dummyVerifier, verifySecret } from '#core/credentials/verifier.ts'
import { DomainError } from '#core/errors.ts'
import type { ProviderRecord } from '#core/identity/provider-record.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { CredentialStore } from '#core/stores/credential-store.ts'
import { type Caller, isTrusted } from '../callers/caller.ts'
import { type ProblemCode, ProblemError } from '../problems.ts'
import { TokenRefused } from '../verifier/token-refused.ts'
import { ttlOutOfRange } from './credential-ttl.ts'
import { attributesOf, identify, type IdentifyDependencies } from './identify.ts'

export interface RenewalDependencies extends CoreDependencies, IdentifyDependencies {
  readonly credentials: CredentialStore
}

export interface RenewalRequest {
  /** Undefined: what was given is no username. */
  readonly username: Username | undefined
  readonly proof: RenewalProof
  readonly ttlSeconds?: number | undefined
  /** Hears of the credential before the proof is judged, for the audit log. */
  readonly onFound?: (username: Username, former: IssuedCredential) => void
}

export type RenewalProof =
  /** what the client has: good until `maxLifetime` from the first issue */
  | { readonly password: string }
  /** whoever may issue it anew, by an API key and, for somebody who signed in, a new identity token */
  | { readonly caller: Caller; readonly token: string | undefined }

export interface Renewal {
  readonly organization: OrganizationId
  readonly id: string
  readonly username: string
  readonly renewed: IssuedCredential
  /** Of whom it was exchanged; absent where it was not. */
  readonly provider?: ProviderRecord | undefined
  /** Seconds that it lives from now on. */
  readonly expiresIn: number
}

const problemsOfRefusals: Readonly<Record<Exclude<RenewalRefusal, 'not-ready' | 'ttl'>, ProblemCode>> = {
  gone: 'invalid_credential',
  suspended: 'organization_suspended',
  longest: 'renewal_not_possible',
}

/**
 * Prolongs a credential. The name and the password stay: connections remain open, and clients that connect again need
 * nothing new.
 */
export async function renewCredential(
  dependencies: RenewalDependencies,
  { username, proof, ttlSeconds, onFound }: RenewalRequest,
): Promise<Renewal> {
  // A wrong checksum is a guess: not worth a question to the store.
  const isGuess = 'password' in proof && secretKindOf(proof.password) !== 'mp'
  if (username === undefined || !isTemporary(username.local) || isGuess) {
    throw new ProblemError('invalid_credential', { why: 'malformed' })
  }
  const { organization, local: id } = username
  const former = await dependencies.credentials.get(organization, id)
  const isCallersOwn = 'password' in proof || proof.caller.organization === organization
  if (former !== undefined && isCallersOwn) onFound?.(username, former)
  const fresh =
    'password' in proof
      ? await checkPassword(username, former, proof.password)
      : await checkFreshProof(dependencies, username, former, proof)
  if (former === undefined) throw new ProblemError('invalid_credential')
  const renewal = await renew(dependencies, { username, former, ttlSeconds, proof: fresh })
  if ('refusal' in renewal) {
    const { refusal, bounds } = renewal
    if (refusal === 'ttl' && bounds !== undefined) throw ttlOutOfRange(ttlSeconds ?? 0, bounds)
    if (refusal === 'not-ready' || refusal === 'ttl') {
      throw new DomainError('store-not-ready', 'the records are not there yet')
    }
    throw new ProblemError(problemsOfRefusals[refusal])
  }
  const { renewed, provider } = renewal
  const expiresIn = Math.max(1, Math.round((renewed.expiresAt - dependencies.now()) / 1000))
  return { organization, id, username: formatUsername(username), renewed, provider, expiresIn }
}

async function checkPassword(
  username: Username,
  former: IssuedCredential | undefined,
  password: string,
): Promise<undefined> {
  const binding = { kind: 'temporary', name: formatUsername(username) } as const
  const isRight = await verifySecret(password, former?.verifier ?? dummyVerifier, binding)
  if (former === undefined) throw new ProblemError('invalid_credential', { why: 'unknown-credential' })
  if (!isRight) throw new ProblemError('invalid_credential', { why: 'wrong-password' })
}

/** One answer for all that is not the caller's own: nobody learns which credentials there are. */
async function checkFreshProof(
  dependencies: RenewalDependencies,
  { organization }: Username,
  former: IssuedCredential | undefined,
  { caller, token }: Extract<RenewalProof, { caller: Caller }>,
): Promise<FreshProof> {
  // Another key may have a narrower ceiling than the one by which it was issued.
  const isOwn = former?.apiKey === undefined || former.apiKey === caller.name
  if (former === undefined || caller.organization !== organization || !isOwn) {
    throw new ProblemError('invalid_credential')
  }
  if (token === undefined) return checkKeyAlone(former, caller)
  // What an agent may do for a person was agreed on when it was issued: not prolonged by the person's token alone.
  if (former.kind !== 'exchange') throw new ProblemError('renewal_not_possible')
  const proven = await identify(dependencies, organization, { token, provider: former.provider })
  const { principal, issuedAt, expiresAt, actor } = proven.identity
  if (principal !== former.principal) throw new ProblemError('invalid_credential')
  // Whoever impersonates somebody does not prolong what that person has, nor the other way round.
  if (actor !== former.actors?.[0]) throw new ProblemError('renewal_not_possible')
  if (issuedAt * 1000 <= (await dependencies.credentials.barrierOf(organization, barriersOfProof(former)))) {
    throw new TokenRefused('token_revoked', 'the token was issued before a revocation')
  }
  const tokenLife = expiresAt - Math.ceil(dependencies.now() / 1000)
  return {
    attributes: attributesOf(proven),
    ...(proven.record.bindToTokenExpiry ? { boundTo: Math.max(tokenLife, 1) } : {}),
  }
}

function checkKeyAlone(former: IssuedCredential, caller: Caller): FreshProof {
  if (!isTrusted(caller) || former.apiKey === undefined) throw new ProblemError('invalid_credential')
  // Somebody signed in for it: whether they still are, no key can say.
  if (former.provider !== undefined) throw new ProblemError('renewal_not_possible')
  return {}
}
