import type { Clock } from '#core/clock.ts'
import type { Attributes } from '#core/identity/attributes.ts'
import { subjectPrincipal } from '#core/identity/principal.ts'
import type { ProviderRecord } from '#core/identity/provider-record.ts'
import type { OrganizationRecord } from '#core/organizations/organization-record.ts'
import type { CredentialStore } from '#core/stores/credential-store.ts'
import type { FoundApiKey, IdentityReader } from '#core/stores/identity-store.ts'
import { credentialTtl } from './credential-ttl.ts'
import { type CredentialGrant, issueCredential, type NewCredential } from './issue-credential.ts'
import { organizationOf } from './organization-of.ts'
import { ProblemError } from './problems.ts'
import type { IssuerKeys } from './verifier/issuer-keys.ts'
import { type Identity, verifyToken } from './verifier/verify-token.ts'

export interface ExchangeDependencies {
  readonly identities: IdentityReader
  readonly credentials: CredentialStore
  readonly keys: IssuerKeys
  readonly now: Clock
}

/** What any face of the service asks for, in the service's own words. */
export interface ExchangeRequest {
  readonly token: string
  /** Name of the IdentityProvider; may be left out where the organization has exactly one. */
  readonly provider: string | undefined
  readonly ttlSeconds: number | undefined
  /** The only client id that the credential may connect with. */
  readonly clientId: string | undefined
  /** Hears of the provider as soon as it is known, for metrics and logs of exchanges that fail later. */
  readonly onProvider?: (name: string, record: ProviderRecord) => void
}

export interface Exchange extends NewCredential {
  readonly provider: string
  readonly identity: Identity
  readonly ttlSeconds: number
}

const longestToken = 16 * 1024

/** Makes an MQTT credential of an identity token: the core under every face of the service. */
export async function exchangeIdentity(
  { identities, credentials, keys, now }: ExchangeDependencies,
  caller: FoundApiKey,
  request: ExchangeRequest,
): Promise<Exchange> {
  if (request.token.length > longestToken) throw new ProblemError('token_too_large')
  const [organization, [provider, record]] = await Promise.all([
    organizationOf(identities, caller),
    chooseProvider(identities, caller, request.provider),
  ])
  request.onProvider?.(provider, record)
  const identity = await verifyToken(request.token, { organization: caller.organization, record }, keys, now)
  const ttlSeconds = ttlFor(request, record, organization, identity, now)
  const grant = grantFor(identity, provider, record, caller, request.clientId)
  const issued = await issueCredential(credentials, caller.organization, grant, ttlSeconds)
  return { ...issued, provider, identity, ttlSeconds }
}

async function chooseProvider(
  identities: IdentityReader,
  { organization }: FoundApiKey,
  name: string | undefined,
): Promise<readonly [string, ProviderRecord]> {
  if (name !== undefined) {
    const record = await identities.get('provider', organization, name)
    if (record !== undefined) return [name, record]
    throw new ProblemError('provider_not_found', {
      errors: [{ field: 'provider', value: name, remedy: 'give the name of an IdentityProvider' }],
    })
  }
  const [only, ...others] = await identities.list('provider', organization)
  if (only !== undefined && others.length === 0) return only
  const remedy =
    only === undefined
      ? 'the organization has no IdentityProvider yet'
      : 'give the name of an IdentityProvider: the organization has several'
  throw new ProblemError('provider_required', { errors: [{ field: 'provider', remedy }] })
}

function ttlFor(
  { ttlSeconds }: ExchangeRequest,
  provider: ProviderRecord,
  organization: OrganizationRecord,
  { expiresAt }: Identity,
  now: Clock,
): number {
  const tokenLife = expiresAt - Math.ceil(now() / 1000)
  return credentialTtl({ requested: ttlSeconds, provider, organization, tokenLife })
}

function grantFor(
  identity: Identity,
  provider: string,
  { lists }: ProviderRecord,
  { name: apiKey, record: { ceiling } }: FoundApiKey,
  clientId: string | undefined,
): CredentialGrant {
  return {
    kind: 'exchange',
    principal: subjectPrincipal(identity.issuer, identity.tenant, identity.subject),
    attributes: attributesFor(identity, provider),
    access: { lists, rules: [], ceilings: ceiling === undefined ? [] : [ceiling] },
    provider,
    apiKey,
    ...(clientId === undefined ? {} : { clientId }),
  }
}

function attributesFor({ subject, email, sessionId, claims }: Identity, provider: string): Attributes {
  return {
    ...claims,
    user_id: subject,
    provider,
    ...(email === undefined ? {} : { email }),
    ...(sessionId === undefined ? {} : { session_id: sessionId }),
  }
}
