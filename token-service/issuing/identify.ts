import type { Clock } from '#core/clock.ts'
import type { Attributes } from '#core/identity/attributes.ts'
import type { ProviderRecord } from '#core/identity/provider-record.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { Judge } from '#core/stores/credential-store.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import { ProblemError } from '../problems.ts'
import type { LiveChecks } from '../live-checks/live-checks.ts'
import type { IssuerKeys } from '../verifier/issuer-keys.ts'
import type { EndedSessions } from './ended-sessions.ts'
import { ProviderUnavailable } from '../verifier/token-refused.ts'
import { type Identity, issuersOf, unverifiedIssuer, verifyToken } from '../verifier/verify-token.ts'

export interface IdentifyDependencies {
  readonly identities: IdentityReader
  readonly keys: IssuerKeys
  readonly liveChecks: LiveChecks
  readonly now: Clock
  readonly endedSessions: EndedSessions
}

export interface IdentityProof {
  readonly token: string
  /** Name of the IdentityProvider; may be left out where the organization has exactly one. */
  readonly provider: string | undefined
  /**
   * Without a name: those providers of the organization are candidates whose issuer the token names. It is compared
   * with what is configured, and nothing else is taken from a token that is not verified.
   */
  readonly byIssuer?: boolean
  /** Hears of the provider as soon as it is known, for metrics and logs of what fails later. */
  readonly onProvider?: ((name: string, record: ProviderRecord) => void) | undefined
}

/** Somebody whose identity token holds, and the provider it was judged by. */
export interface ProvenIdentity {
  readonly provider: string
  readonly record: ProviderRecord
  readonly identity: Identity
  readonly judgedBy: Judge
}

const longestToken = 16 * 1024
/** Somebody has to put a Secret right. */
const closedRetrySeconds = 30

export async function identify(
  dependencies: IdentifyDependencies,
  organization: OrganizationId,
  proof: IdentityProof,
): Promise<ProvenIdentity> {
  const proven = await judge(dependencies, organization, proof)
  await dependencies.endedSessions.check(organization, proven)
  return proven
}

async function judge(
  { identities, keys, liveChecks, now }: IdentifyDependencies,
  organization: OrganizationId,
  { token, provider: name, byIssuer = false, onProvider }: IdentityProof,
): Promise<ProvenIdentity> {
  if (token.length > longestToken) throw new ProblemError('token_too_large')
  const readAt = now()
  const candidates =
    byIssuer && name === undefined
      ? await candidatesByIssuer(identities, organization, token)
      : [await chooseProvider(identities, organization, name)]
  let failure: unknown
  for (const [provider, record] of candidates) {
    onProvider?.(provider, record)
    try {
      const chosen = { organization, record }
      const identity = await verifyToken(token, chosen, keys, now)
      await liveChecks.check(chosen, token, identity)
      const judgedBy = {
        type: 'provider',
        name: provider,
        version: identities.versionOf(record),
        readAt,
      } as const
      return { provider, record, identity, judgedBy }
    } catch (error) {
      failure ??= error
    }
  }
  throw failure
}

async function candidatesByIssuer(
  identities: IdentityReader,
  organization: OrganizationId,
  token: string,
): Promise<readonly (readonly [string, ProviderRecord])[]> {
  const issuer = unverifiedIssuer(token)
  const providers = await identities.list('provider', organization)
  const candidates = [...providers].filter(([, record]) => issuersOf(record).includes(issuer))
  const open = candidates.filter(isOpen)
  if (open.length > 0) return open
  const [first] = candidates
  if (first !== undefined) throw closed(first[1])
  const remedy = 'make an IdentityProvider for the issuer of the token'
  throw new ProblemError('provider_not_found', { errors: [{ field: 'token', remedy }] })
}

async function chooseProvider(
  identities: IdentityReader,
  organization: OrganizationId,
  name: string | undefined,
): Promise<readonly [string, ProviderRecord]> {
  if (name !== undefined) {
    const record = await identities.get('provider', organization, name)
    if (record?.closed !== undefined) throw closed(record)
    if (record !== undefined) return [name, record]
    throw new ProblemError('provider_not_found', {
      errors: [{ field: 'provider', value: name, remedy: 'give the name of an IdentityProvider' }],
    })
  }
  const all = [...(await identities.list('provider', organization))]
  const [only, ...others] = all.filter(isOpen)
  if (only !== undefined && others.length === 0) return only
  const [first] = all
  if (only === undefined && first !== undefined) throw closed(first[1])
  const remedy =
    only === undefined
      ? 'the organization has no IdentityProvider yet'
      : 'give the name of an IdentityProvider: the organization has several'
  throw new ProblemError('provider_required', { errors: [{ field: 'provider', remedy }] })
}

const isOpen = ([, record]: readonly [string, ProviderRecord]): boolean => record.closed === undefined

function closed({ closed }: ProviderRecord): Error {
  return closed === 'suspended'
    ? new ProblemError('provider_suspended')
    : new ProviderUnavailable('a secret or a key of the provider is missing', closedRetrySeconds)
}

/** The identity variables of somebody who is proven. */
export function attributesOf({ provider, identity }: ProvenIdentity): Attributes {
  const { subject, email, sessionId, claims } = identity
  return {
    ...claims,
    user_id: subject,
    provider,
    ...(email === undefined ? {} : { email }),
    ...(sessionId === undefined ? {} : { session_id: sessionId }),
  }
}
