import { apiKeyBinding, type ApiKeyRecord } from '#core/credentials/api-key-record.ts'
import { apiKeyLookup, generateSecret, secretKindOf } from '#core/credentials/secret.ts'
import { verifierOfGenerated } from '#core/credentials/verifier.ts'
import { describeProblem } from '#core/errors.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { ApiKey } from '#core/resources/api-key.ts'
import { dataPlaneProblems } from '#core/resources/check-resource.ts'
import { missingListRefusal } from './access-readiness.ts'
import { ensureSecret, type GeneratedSecret } from './generated-secret.ts'
import type { ApiKeyUses } from '#core/stores/api-key-uses.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import type { ResourceHost } from './host.ts'
import { type Decision, type KindReconciler, recordOfRefused } from './kind-reconciler.ts'
import type { OrganizationFinder, OrganizationLookup } from './organization-finder.ts'
import { recordInForce } from './record-in-force.ts'
import { notReady, type Readiness, synced } from './readiness.ts'
import { namesOf } from './references.ts'
import { keySecretName } from './secret-names.ts'

const secretKinds = { secret: 'sk', publishable: 'pk' } as const

/** Key of the generated Secret that holds the API key. */
const keySecretKey = 'key'

export type ApiKeyFacts =
  | { readonly refusal: Readiness }
  | {
      readonly refusal?: undefined
      readonly id: OrganizationId
      /** Of the key whose record stands there. */
      readonly formerUid: string | undefined
      readonly secret: GeneratedSecret
      readonly listRefusal: Readiness | undefined
      readonly lastUse: number | undefined
    }

export interface ApiKeyParts {
  readonly host: ResourceHost
  readonly store: Pick<IdentityReader, 'get'>
  readonly finder: OrganizationFinder
  readonly uses: Pick<ApiKeyUses, 'lastUse'>
}

/**
 * What the key alone vouches for ends with its record. Without a finalizer: the sweep removes a key that went while nobody
 * looked.
 */
export function apiKeyReconciler({
  host,
  store,
  finder,
  uses,
}: ApiKeyParts): KindReconciler<'ApiKey', ApiKeyFacts> {
  const lookup = ({ metadata, spec }: ApiKey): OrganizationLookup =>
    finder.find(metadata.namespace, spec.organizationRef)
  return {
    kind: 'ApiKey',
    needsFinalizer: false,
    claimOf(key) {
      const { id } = lookup(key)
      return id === undefined ? undefined : { type: 'api-key', organization: id, name: key.metadata.name }
    },
    holdsClaim: () => true,
    async gather(key) {
      const organization = lookup(key)
      if (organization.refusal !== undefined) return { refusal: organization.refusal }
      return {
        id: organization.id,
        formerUid: await uidInForce(store, organization.id, key),
        secret: await keySecretOf(host, key),
        listRefusal: missingListRefusal(host, organization.organization, namesOf(key.spec.accessListRefs)),
        lastUse: await uses.lastUse(organization.id, key.metadata.uid),
      }
    },
    decide: decideApiKey,
    dependents: () => [],
  }
}

/** How often it is looked whether a key was used; uses are noted once an hour. */
const lookForUseMs = 15 * 60_000

function decideApiKey(key: ApiKey, facts: ApiKeyFacts): Decision<'ApiKey'> {
  const shown = key.status?.lastUsed
  const kept = shown === undefined ? {} : { lastUsed: shown }
  if (facts.refusal !== undefined) {
    return { record: recordOfRefused(facts.refusal), ready: facts.refusal, status: kept }
  }
  const { secret, refusal } = facts.secret
  if (refusal !== undefined) return { record: 'withdraw', ready: refusal, status: kept }
  const status = { keySecret: { name: secret.name }, ...kept, ...laterUse(facts.lastUse, shown) }
  const text = secret.data[keySecretKey] ?? ''
  if (secretKindOf(text) !== secretKinds[key.spec.type]) {
    const message = `Secret ${secret.name} holds no ${key.spec.type} API key under ${keySecretKey}: delete it to have one made`
    return { record: 'withdraw', ready: notReady('SecretKeyMissing', message), status }
  }
  const [problem] = dataPlaneProblems('ApiKey', key.spec)
  if (problem !== undefined) {
    return { record: 'keep', ready: notReady('InvalidPattern', describeProblem(problem)), status }
  }
  const ready = facts.listRefusal ?? synced(`the key is in Secret ${secret.name}`)
  const isAnother = facts.formerUid !== undefined && facts.formerUid !== key.metadata.uid
  return {
    record: apiKeyRecord(key, facts.id, text),
    end: isAnother ? { end: 'for-good', why: 'the ApiKey was made anew' } : undefined,
    ready,
    status,
    againAfterMs: lookForUseMs,
  }
}

async function uidInForce(
  store: Pick<IdentityReader, 'get'>,
  organization: OrganizationId,
  { metadata }: ApiKey,
): Promise<string | undefined> {
  const record = await recordInForce(store, { type: 'api-key', organization, name: metadata.name })
  return record === 'damaged' ? undefined : record?.uid
}

/** What was noted ends some day, what is shown stays. In seconds, as Kubernetes writes times. */
function laterUse(noted: number | undefined, shown = ''): { readonly lastUsed?: string } {
  const lastUsed = noted === undefined ? '' : new Date(noted).toISOString().replace(/\.\d+/, '')
  return lastUsed > shown ? { lastUsed } : {}
}

function apiKeyRecord({ metadata, spec }: ApiKey, id: OrganizationId, secret: string): ApiKeyRecord {
  return {
    uid: metadata.uid,
    type: spec.type,
    scopes: spec.scopes,
    lookup: apiKeyLookup(secret),
    verifier: verifierOfGenerated(secret, apiKeyBinding(id, metadata.name)),
    ...(spec.accessListRefs === undefined ? {} : { ceiling: namesOf(spec.accessListRefs) }),
    attributes: spec.attributes ?? [],
    ...(spec.agentIdPattern === undefined ? {} : { agentIdPattern: spec.agentIdPattern }),
    origins: spec.origins ?? [],
    ...(spec.limits?.perMinute === undefined ? {} : { perMinute: spec.limits.perMinute }),
  }
}

function keySecretOf(host: ResourceHost, key: ApiKey): Promise<GeneratedSecret> {
  const { namespace, name, uid } = key.metadata
  const wanted = {
    namespace,
    name: keySecretName(key),
    type: 'Opaque',
    owner: { kind: 'ApiKey', name, uid },
    labels: {},
    annotations: {},
  } as const
  return ensureSecret(host, wanted, () => ({ [keySecretKey]: generateSecret(secretKinds[key.spec.type]) }))
}
