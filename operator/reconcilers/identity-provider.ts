import { createPublicKey } from 'node:crypto'
import { emptyPolicy } from '#core/access/access-policy.ts'
import { type Attributes, wellKnownAttributes } from '#core/identity/attributes.ts'
import type { ProviderRecord } from '#core/identity/provider-record.ts'
import { durationSeconds } from '#core/resources/fields.ts'
import type { IdentityProvider, IdentityProviderSpec } from '#core/resources/identity-provider.ts'
import { accessRefusal, someValue } from './access-readiness.ts'
import type { ResourceHost } from './host.ts'
import { type Decision, type KindReconciler, recordOfRefused } from './kind-reconciler.ts'
import type { OrganizationFinder, OrganizationLookup } from './organization-finder.ts'
import { notReady, type Readiness, synced } from './readiness.ts'
import { secretProblem } from './provider-secret-problems.ts'
import { type ProviderSecretParts, type ProviderSecrets, readProviderSecrets } from './provider-secrets.ts'
import { namesOf } from './references.ts'

type Facts =
  | { readonly refusal: Readiness }
  | {
      readonly refusal?: undefined
      readonly secrets: ProviderSecrets
      readonly accessRefusal: Readiness | undefined
    }

export interface IdentityProviderParts extends ProviderSecretParts {
  readonly host: ResourceHost
  readonly finder: OrganizationFinder
}

/** Without a finalizer: credentials that were exchanged here end by themselves, and the sweep removes the record. */
export function identityProviderReconciler(
  parts: IdentityProviderParts,
): KindReconciler<'IdentityProvider', Facts> {
  const { host, finder } = parts
  const organizationOf = ({ metadata, spec }: IdentityProvider): OrganizationLookup =>
    finder.find(metadata.namespace, spec.organizationRef)
  return {
    kind: 'IdentityProvider',
    needsFinalizer: false,
    claimOf(provider) {
      const { id } = organizationOf(provider)
      return id === undefined
        ? undefined
        : { type: 'provider', organization: id, name: provider.metadata.name }
    },
    holdsClaim: () => true,
    async gather(provider) {
      const organization = organizationOf(provider)
      if (organization.refusal !== undefined) return { refusal: organization.refusal }
      const policy = { ...emptyPolicy, lists: namesOf(provider.spec.accessListRefs) }
      return {
        secrets: await readProviderSecrets(parts, provider, organization.id),
        accessRefusal: accessRefusal(host, organization.organization, policy, attributesOf(provider)),
      }
    },
    decide: decideIdentityProvider,
    dependents: () => [],
  }
}

/** All that whoever signs in here may have, and an agent that acts for them. */
function attributesOf({ spec }: IdentityProvider): Attributes {
  const claims = (spec.attributes ?? []).map(({ name }) => `claims.${name}`)
  return Object.fromEntries([...wellKnownAttributes, ...claims].map((name) => [name, someValue]))
}

function decideIdentityProvider(provider: IdentityProvider, facts: Facts): Decision<'IdentityProvider'> {
  if (facts.refusal !== undefined) {
    return { record: recordOfRefused(facts.refusal), ready: facts.refusal, status: {} }
  }
  const { secrets, accessRefusal } = facts
  const issuer = issuerOf(provider.spec)
  const publicKey = provider.spec.clerk?.publicKey
  if (publicKey !== undefined && !isUsableKey(publicKey)) {
    const message =
      'clerk.publicKey is no RSA key of 2048 to 8192 bits: copy the JWKS public key of the instance'
    return { record: 'remove', ready: notReady('PublicKeyUnusable', message), status: {} }
  }
  if (secrets.refusal !== undefined) return { record: 'remove', ready: secrets.refusal, status: {} }
  const problem = secretProblem(provider.spec.type, secrets.clear)
  if (problem !== undefined) {
    return { record: 'remove', ready: notReady('SecretUnusable', problem), status: {} }
  }
  return {
    record: providerRecord(provider, secrets.sealed),
    ready: accessRefusal ?? synced('identity tokens may be exchanged'),
    status: issuer === undefined ? {} : { issuer },
  }
}

/** Tokens of Clerk are signed by RS256. What the token service would refuse for each token is said once, here. */
function isUsableKey(pem: string): boolean {
  try {
    const { asymmetricKeyType, asymmetricKeyDetails } = createPublicKey(pem)
    const { modulusLength = 0, publicExponent } = asymmetricKeyDetails ?? {}
    const isStrong = modulusLength >= 2048 && modulusLength <= 8192 && publicExponent === 65_537n
    return asymmetricKeyType === 'rsa' && isStrong
  } catch {
    return false
  }
}

function providerRecord(
  { metadata, spec }: IdentityProvider,
  secrets: Readonly<Record<string, string>>,
): ProviderRecord {
  return {
    uid: metadata.uid,
    type: spec.type,
    settings: { ...spec[spec.type] },
    boundClaims: spec.boundClaims ?? [],
    attributes: spec.attributes ?? [],
    allowAnonymous: spec.allowAnonymous ?? false,
    allowMachine: spec.allowMachine ?? false,
    ...(spec.allowImpersonation === false ? { allowImpersonation: false } : {}),
    bindToTokenExpiry: spec.bindToTokenExpiry ?? false,
    ...(spec.liveCheck === undefined ? {} : { liveCheck: true }),
    ...(Object.keys(secrets).length === 0 ? {} : { secrets }),
    lists: namesOf(spec.accessListRefs),
    ...(spec.ttl === undefined ? {} : { ttl: durationSeconds(spec.ttl) }),
  }
}

/** What stands in the tokens' `iss`; the first where there are several. */
function issuerOf(spec: IdentityProviderSpec): string | undefined {
  switch (spec.type) {
    case 'supabase':
      return spec.supabase && `${spec.supabase.url.replace(/\/+$/, '')}/auth/v1`
    case 'firebase':
      return spec.firebase && `https://securetoken.google.com/${spec.firebase.projectId}`
    case 'auth0':
      return spec.auth0?.issuers[0]
    case 'clerk':
      return spec.clerk?.issuer
    case 'oidc':
      return spec.oidc?.issuer
  }
}
