import { createPublicKey } from 'node:crypto'
import { emptyPolicy } from '#core/access/access-policy.ts'
import { type Attributes, wellKnownAttributes } from '#core/identity/attributes.ts'
import type { ProviderRecord } from '#core/identity/provider-record.ts'
import { durationSeconds } from '#core/resources/fields.ts'
import type { IdentityProvider } from '#core/resources/identity-provider.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import { accessRefusal, someValue } from './access-readiness.ts'
import type { ResourceHost } from './host.ts'
import { type Decision, type KindReconciler, recordOfRefused } from './kind-reconciler.ts'
import type { OrganizationFinder, OrganizationLookup } from './organization-finder.ts'
import { notReady, type Readiness, synced } from './readiness.ts'
import { secretProblem } from './provider-secret-problems.ts'
import { type ProviderSecretParts, type ProviderSecrets, readProviderSecrets } from './provider-secrets.ts'
import { issuersOf, endBetween } from './provider-trust.ts'
import { recordInForce } from './record-in-force.ts'
import { namesOf } from './references.ts'

type Facts =
  | { readonly refusal: Readiness }
  | {
      readonly refusal?: undefined
      /** Nobody knows what a damaged one has let in. */
      readonly before: ProviderRecord | 'damaged' | undefined
      readonly secrets: ProviderSecrets
      readonly accessRefusal: Readiness | undefined
    }

export interface IdentityProviderParts extends ProviderSecretParts {
  readonly host: ResourceHost
  readonly store: Pick<IdentityReader, 'get'>
  readonly finder: OrganizationFinder
}

/**
 * What was exchanged here ends with the record, and when it is suspended or accepts less. A Secret that is missing for a
 * moment is no reason: the record stays then, closed, so that nothing new is exchanged and nothing forgotten.
 */
export function identityProviderReconciler(
  parts: IdentityProviderParts,
): KindReconciler<'IdentityProvider', Facts> {
  const { host, finder } = parts
  const organizationOf = ({ metadata, spec }: IdentityProvider): OrganizationLookup =>
    finder.find(metadata.namespace, spec.organizationRef)
  return {
    kind: 'IdentityProvider',
    needsFinalizer: true,
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
      const { name } = provider.metadata
      const before = await recordInForce(parts.store, {
        type: 'provider',
        organization: organization.id,
        name,
      })
      const known = before === 'damaged' ? undefined : before
      return {
        before,
        secrets: await readProviderSecrets(parts, provider, organization.id, known),
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
  const { before, secrets } = facts
  const isSuspended = provider.spec.suspended === true
  const unusable = refusalOf(provider, secrets)
  const sealed = secrets.refusal === undefined && unusable === undefined ? secrets.sealed : {}
  const closed = isSuspended ? 'suspended' : unusable === undefined ? undefined : 'unusable'
  const record = providerRecord(provider, sealed, closed)
  const suspended = isSuspended ? notReady('Suspended', suspendedMessage) : undefined
  const [issuer] = issuersOf(record)
  return {
    record,
    end:
      before === 'damaged'
        ? { end: 'for-good', why: 'its record was damaged' }
        : before && endBetween(before, record),
    ready: suspended ?? unusable ?? facts.accessRefusal ?? synced('identity tokens may be exchanged'),
    status: issuer === undefined ? {} : { issuer },
  }
}

const suspendedMessage =
  'every exchange is refused, and what was exchanged before has ended: spec.suspended is true'

/** Why no token can be judged. */
function refusalOf({ spec }: IdentityProvider, secrets: ProviderSecrets): Readiness | undefined {
  const publicKey = spec.clerk?.publicKey
  if (publicKey !== undefined && !isUsableKey(publicKey)) {
    const message =
      'clerk.publicKey is no RSA key of 2048 to 8192 bits: copy the JWKS public key of the instance'
    return notReady('PublicKeyUnusable', message)
  }
  if (secrets.refusal !== undefined) return secrets.refusal
  const problem = secretProblem(spec.type, secrets.clear)
  return problem === undefined ? undefined : notReady('SecretUnusable', problem)
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
  closed: ProviderRecord['closed'],
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
    ...(closed === undefined ? {} : { closed }),
  }
}
