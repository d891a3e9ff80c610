import type { Clock } from '#core/clock.ts'
import { DomainError } from '#core/errors.ts'
import type { Attributes } from '#core/identity/attributes.ts'
import { type Principal, subjectPrincipal } from '#core/identity/principal.ts'
import type { ProviderRecord } from '#core/identity/provider-record.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { type ProviderType, providerSettings } from '#core/resources/identity-provider.ts'
import { Check } from 'typebox/value'
import { providerKinds } from '../providers/index.ts'
import type { ProviderIdentity, SignatureAlgorithm, TokenPolicy } from '../providers/provider.ts'
import {
  actorIn,
  checkAudience,
  checkBoundClaims,
  checkNames,
  checkTimes,
  issuerOf,
  mapAttributes,
  subjectOf,
  type TokenTimes,
} from './claim-rules.ts'
import { optionalText, textClaim } from './claims.ts'
import { type JsonObject, parseCompactToken, type TokenHeader } from './compact-token.ts'
import type { IssuerKeys } from './issuer-keys.ts'
import type { KeySource } from './key-source.ts'
import { isMacOf } from './shared-secret.ts'
import { isSignedBy } from './signature.ts'
import { TokenRefused } from './token-refused.ts'

const longestTokenId = 256

/** Who an identity token says somebody is, once all of it is believed. Times in seconds since the epoch. */
export interface Identity extends ProviderIdentity, TokenTimes {
  readonly issuer: string
  readonly subject: string
  /** Stable, and nobody else's: the issuer and the tenant are part of it. */
  readonly principal: Principal
  /** `jti`, for the audit. */
  readonly tokenId?: string | undefined
  /** Somebody else who acts as the subject. */
  readonly actor?: string | undefined
  /** `claims.<name>`, as the provider maps them. */
  readonly claims: Attributes
}

/** The provider that a token is judged by: chosen by the organization, never by the token. */
export interface ChosenProvider {
  readonly organization: OrganizationId
  readonly record: ProviderRecord
}

/**
 * Judges an identity token by the policy of one provider. Rejects with TokenRefused, or with
 * ProviderUnavailable when the issuer's keys can not be had.
 */
export async function verifyToken(
  token: string,
  provider: ChosenProvider,
  keys: IssuerKeys,
  now: Clock,
): Promise<Identity> {
  const { record } = provider
  const policy = policyOf(record)
  const { header, claims } = parseCompactToken(token)
  const signer = signerOf(header, policy)
  const issuer = issuerOf(claims, policy.issuers)
  const holds =
    signer === 'shared secret'
      ? isByProvidersSecret(token, provider, keys)
      : await isByPublishedKey(token, signer, policy.keys(issuer), provider, keys)
  if (!holds) throw new TokenRefused('invalid_signature', 'the signature does not hold')
  const seconds = Math.floor(now() / 1000)
  const times = checkTimes(claims, seconds, policy.leeway)
  const subject = subjectOf(claims)
  checkNames(claims)
  const actor = actorIn(claims, record.allowImpersonation !== false)
  if (policy.audiences !== undefined) checkAudience(claims, policy.audiences)
  const spelled = policy.spell?.(claims) ?? claims
  checkBoundClaims(spelled, record.boundClaims)
  const known = policy.identify(claims, { header, now: seconds })
  const principal = subjectPrincipal(issuer, policy.tenant, subject)
  const mapped = mapAttributes(spelled, record.attributes)
  const tokenId = tokenIdOf(claims)
  return { ...known, ...times, issuer, subject, principal, tokenId, actor, claims: mapped }
}

function tokenIdOf(claims: JsonObject): string | undefined {
  const id = optionalText(claims, 'jti')
  return id !== undefined && id.length <= longestTokenId ? id : undefined
}

/** Who somebody with this `sub` is, if the token is the provider's: one for each of its issuers. */
export function principalsOf(record: ProviderRecord, subject: string): readonly Principal[] {
  const { issuers, tenant } = policyOf(record)
  return issuers.map((issuer) => subjectPrincipal(issuer, tenant, subject))
}

/** Exactly one of these must be the `iss` of a token of the provider. */
export function issuersOf(record: ProviderRecord): readonly string[] {
  return policyOf(record).issuers
}

/** What a token says of its issuer before anything is known of it: to be compared, never to be asked. */
export function unverifiedIssuer(token: string): string {
  return textClaim(parseCompactToken(token).claims, 'iss')
}

/** Records are shared for as long as they stay the same, and so is what is made of them. */
const policies = new WeakMap<ProviderRecord, TokenPolicy>()

function policyOf(record: ProviderRecord): TokenPolicy {
  const known = policies.get(record)
  if (known !== undefined) return known
  const policy = newPolicyOf(record)
  policies.set(record, policy)
  return policy
}

function newPolicyOf<Type extends ProviderType>(
  record: ProviderRecord & { readonly type: Type },
): TokenPolicy {
  const { type, settings, allowAnonymous, allowMachine } = record
  const schema = providerSettings[type]
  if (!Check(schema, settings)) {
    throw new DomainError('record-damaged', `the settings of a provider of type ${type} can not be read`)
  }
  return providerKinds[type].policy(settings as never, { allowAnonymous, allowMachine })
}

interface PublishedKey {
  readonly algorithm: SignatureAlgorithm
  readonly kid: string
}

/** Whose key the signature is to be judged by. The two ways never meet: no key of one is ever tried in the other. */
function signerOf(header: TokenHeader, policy: TokenPolicy): PublishedKey | 'shared secret' {
  checkType(header, policy)
  if (policy.sharedSecret === true && header.alg === 'HS256') return 'shared secret'
  const algorithm = policy.algorithms.find((each) => each === header.alg)
  if (algorithm === undefined) {
    throw new TokenRefused(
      'token_header_not_allowed',
      `the alg of the token is none of ${policy.algorithms.join(', ')}`,
    )
  }
  if (header.kid === undefined) {
    throw new TokenRefused('token_header_not_allowed', 'the header names no key (kid)')
  }
  return { algorithm, kid: header.kid }
}

function isByProvidersSecret(
  token: string,
  { organization, record }: ChosenProvider,
  keys: IssuerKeys,
): boolean {
  const secret = keys.sharedSecret(organization, record)
  return secret !== undefined && isMacOf(token, secret)
}

async function isByPublishedKey(
  token: string,
  { algorithm, kid }: PublishedKey,
  source: KeySource,
  { organization, record }: ChosenProvider,
  keys: IssuerKeys,
): Promise<boolean> {
  const key = await keys.find(`${organization}/${record.uid}`, source, kid, algorithm)
  return isSignedBy(token, key, algorithm)
}

function checkType(header: TokenHeader, policy: TokenPolicy): void {
  if (header.typ !== undefined && !policy.types.includes(header.typ)) {
    throw new TokenRefused(
      'token_type_not_allowed',
      `the typ of the token is none of ${policy.types.join(', ')}`,
    )
  }
}
