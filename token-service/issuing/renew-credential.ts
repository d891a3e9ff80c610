import type { Clock } from '#core/clock.ts'
import type { IssuedCredential } from '#core/credentials/credential-record.ts'
import { secretKindOf } from '#core/credentials/secret.ts'
import { formatUsername, isTemporary, type Username } from '#core/credentials/username.ts'
import { dummyVerifier, verifySecret } from '#core/credentials/verifier.ts'
import { DomainError } from '#core/errors.ts'
import type { ProviderRecord } from '#core/identity/provider-record.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { CredentialStore } from '#core/stores/credential-store.ts'
import { organizationRecordName } from '#core/stores/identity-records.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import { ProblemError } from '../problems.ts'
import { credentialTtl } from './credential-ttl.ts'

export interface RenewalDependencies {
  readonly identities: IdentityReader
  readonly credentials: CredentialStore
  /** Exchanges and renewals of one principal in a minute. */
  readonly perSubject: number
  readonly now: Clock
}

export interface RenewalRequest {
  /** Undefined: what was given is no username. */
  readonly username: Username | undefined
  /** The credential's current password: all the proof there is. */
  readonly password: string
  readonly ttlSeconds?: number | undefined
}

export interface Renewal {
  readonly organization: OrganizationId
  readonly id: string
  readonly username: string
  readonly password: string
  readonly renewed: IssuedCredential
  /** Of whom it was exchanged; absent where it was not. */
  readonly provider?: ProviderRecord | undefined
  /** Seconds that it lives from now on. */
  readonly expiresIn: number
}

/**
 * Prolongs a credential for whoever knows its password. The password stays: connections remain open, and clients that
 * connect again need nothing new. Never past `maxLifetime` from its first issue.
 */
export async function renewCredential(
  { identities, credentials, perSubject, now }: RenewalDependencies,
  { username, password, ttlSeconds: requested }: RenewalRequest,
): Promise<Renewal> {
  // A wrong checksum is a guess: not worth a question to the store.
  if (username === undefined || !isTemporary(username.local) || secretKindOf(password) !== 'mp') {
    throw new ProblemError('invalid_credential')
  }
  const { organization, local: id } = username
  const [record, former] = await Promise.all([
    identities.get('organization', organization, organizationRecordName),
    credentials.get(organization, id),
  ])
  const name = formatUsername(username)
  const isRight = await verifySecret(password, former?.verifier ?? dummyVerifier, { kind: 'temporary', name })
  if (former === undefined || !isRight) throw new ProblemError('invalid_credential')
  const provider = await providerOf(identities, organization, former)
  if (record === undefined) throw await goneOrNotReady(identities)
  if (record.suspended) throw new ProblemError('organization_suspended')

  const ttlSeconds = credentialTtl({ requested, organization: record, provider })
  const longest = former.isFinal === true ? 0 : record.credentials.maxLifetime
  const renewed = await credentials.extend(organization, id, ttlSeconds, longest, {
    perMinute: perSubject,
  })
  if (renewed === undefined) throw new ProblemError('invalid_credential')
  const isLongest = renewed.expiresAt >= renewed.issuedAt + longest * 1000
  if (isLongest && renewed.expiresAt === former.expiresAt) throw new ProblemError('renewal_not_possible')
  const expiresIn = Math.max(1, Math.round((renewed.expiresAt - now()) / 1000))
  return { organization, id, username: name, password, renewed, provider, expiresIn }
}

/** The provider of an exchanged credential. Whoever let it be issued must still be there. */
async function providerOf(
  identities: IdentityReader,
  organization: OrganizationId,
  { provider, apiKey }: IssuedCredential,
): Promise<ProviderRecord | undefined> {
  const [providerRecord, keyRecord] = await Promise.all([
    provider === undefined ? undefined : identities.get('provider', organization, provider),
    apiKey === undefined ? undefined : identities.get('api-key', organization, apiKey),
  ])
  const isThere =
    (provider === undefined || providerRecord !== undefined) &&
    (apiKey === undefined || keyRecord !== undefined)
  if (!isThere) throw await goneOrNotReady(identities)
  return providerRecord
}

async function goneOrNotReady(identities: IdentityReader): Promise<Error> {
  return (await identities.isReady())
    ? new ProblemError('invalid_credential')
    : new DomainError('store-not-ready', 'the records are not there yet')
}
