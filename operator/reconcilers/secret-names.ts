import type { ResourceKindName, ResourceOf } from '#core/resources/index.ts'
import type { ApiKey } from '#core/resources/api-key.ts'
import type { MqttUser } from '#core/resources/mqtt-user.ts'

const longestName = 253

/** Of the Secret that is generated for a user. */
export function credentialsSecretName({ metadata, spec }: MqttUser): string {
  return spec.credentialsSecret?.name ?? suffixed(metadata.name, '-mqtt')
}

/** Of the Secret that a key is generated into. */
export function keySecretName({ metadata, spec }: ApiKey): string {
  return spec.keySecret?.name ?? suffixed(metadata.name, '-api-key')
}

/**
 * Secrets, in the namespace of the object, whose change concerns it. A host reconciles the object whenever one
 * of them appears, changes or goes.
 */
export function secretNamesOf<K extends ResourceKindName>(
  kind: K,
  resource: ResourceOf[K],
): readonly string[] {
  if (kind === 'ApiKey') return [keySecretName(resource as ApiKey)]
  if (kind !== 'MqttUser') return []
  const user = resource as MqttUser
  if (user.spec.passwordSecretRef !== undefined) return [user.spec.passwordSecretRef.name]
  return user.spec.passwordVerifier === undefined ? [credentialsSecretName(user)] : []
}

function suffixed(name: string, suffix: string): string {
  return name.slice(0, longestName - suffix.length) + suffix
}
