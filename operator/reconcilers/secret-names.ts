import type { ResourceKindName, ResourceOf } from '#core/resources/index.ts'
import type { ApiKey } from '#core/resources/api-key.ts'
import type { IdentityProvider, IdentityProviderSpec } from '#core/resources/identity-provider.ts'
import type { Organization } from '#core/resources/organization.ts'
import type { MqttUser } from '#core/resources/mqtt-user.ts'
import type { ProviderSecretName } from '#core/sealing/provider-secrets.ts'

const longestName = 253

/** Of the Secret that is generated for a user. */
export function credentialsSecretName({ metadata, spec }: MqttUser): string {
  return spec.credentialsSecret?.name ?? suffixed(metadata.name, '-mqtt')
}

/** Of the Secret that a key is generated into. */
export function keySecretName({ metadata, spec }: ApiKey): string {
  return spec.keySecret?.name ?? suffixed(metadata.name, '-api-key')
}

/** One key of a Secret that a provider refers to, and what it is for. */
export interface ProviderSecretRef {
  readonly purpose: ProviderSecretName
  /** Where the spec names it. */
  readonly field: string
  readonly name: string
  readonly key: string
}

export function providerSecretRefs({
  supabase,
  liveCheck,
  webhook,
}: IdentityProviderSpec): ProviderSecretRef[] {
  const refs: ProviderSecretRef[] = []
  const add = (
    purpose: ProviderSecretName,
    field: string,
    ref: { readonly name: string; readonly key?: string } | undefined,
    defaultKey: string,
  ): void => {
    if (ref !== undefined) refs.push({ purpose, field, name: ref.name, key: ref.key ?? defaultKey })
  }
  add('jwt', 'spec.supabase.jwtSecretRef', supabase?.jwtSecretRef, 'secret')
  add('live-check', 'spec.liveCheck.secretRef', liveCheck?.secretRef, 'key')
  add('webhook', 'spec.webhook.secretRef', webhook?.secretRef, 'secret')
  return refs
}

/**
 * Secrets, in the namespace of the object, whose change concerns it. A host reconciles the object whenever one
 * of them appears, changes or goes.
 */
export function secretNamesOf<K extends ResourceKindName>(
  kind: K,
  resource: ResourceOf[K],
): readonly string[] {
  if (kind === 'Organization') {
    const { clientCASecretRef } = (resource as Organization).spec
    return clientCASecretRef === undefined ? [] : [clientCASecretRef.name]
  }
  if (kind === 'ApiKey') return [keySecretName(resource as ApiKey)]
  if (kind === 'IdentityProvider') {
    return [...new Set(providerSecretRefs((resource as IdentityProvider).spec).map(({ name }) => name))]
  }
  if (kind !== 'MqttUser') return []
  const user = resource as MqttUser
  if (user.spec.passwordSecretRef !== undefined) return [user.spec.passwordSecretRef.name]
  return user.spec.passwordVerifier === undefined ? [credentialsSecretName(user)] : []
}

function suffixed(name: string, suffix: string): string {
  return name.slice(0, longestName - suffix.length) + suffix
}
