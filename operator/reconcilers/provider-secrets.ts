import type { ProviderRecord } from '#core/identity/provider-record.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { IdentityProvider } from '#core/resources/identity-provider.ts'
import { providerSecretContext, type ProviderSecretName } from '#core/sealing/provider-secrets.ts'
import type { SealingKeys } from '#core/sealing/sealing-keys.ts'
import type { ResourceHost } from './host.ts'
import { notReady, type Readiness } from './readiness.ts'
import type { ResourceAddress } from './reconciler.ts'
import { addressOf } from './references.ts'
import { type ProviderSecretRef, providerSecretRefs } from './secret-names.ts'
import { secretMissing, type SecretValue, valueIn } from './secret-value.ts'

/** What of a provider is secret, as it stands in its Secrets, or why it is not there. */
export type ProviderSecrets =
  | { readonly refusal: Readiness }
  | {
      readonly refusal?: undefined
      /** Never to be shown. */
      readonly clear: ReadonlyMap<ProviderSecretName, string>
      readonly sealed: Readonly<Record<string, string>>
    }

export interface ProviderSecretParts {
  readonly host: Pick<ResourceHost, 'readSecret'>
  readonly sealing: SealingKeys | undefined
}

const longestSecret = 16 * 1024

/** Reads what the provider refers to and seals it; what is sealed in its record already stays as long as it is true. */
export async function readProviderSecrets(
  parts: ProviderSecretParts,
  provider: IdentityProvider,
  organization: OrganizationId,
  record: ProviderRecord | undefined,
): Promise<ProviderSecrets> {
  const refs = providerSecretRefs(provider.spec)
  const [first] = refs
  const clear = new Map<ProviderSecretName, string>()
  if (first === undefined) return { clear, sealed: {} }
  const { sealing } = parts
  if (sealing === undefined) {
    const message = `${first.field} needs a key to seal it with: give the operator and the token service CLOUDSIGNAL_SEALING_KEYS_FILE`
    return { refusal: notReady('SealingKeyMissing', message) }
  }
  for (const ref of refs) {
    const { text, refusal } = await readSecret(parts.host, addressOf('IdentityProvider', provider), ref)
    if (refusal !== undefined) return { refusal }
    clear.set(ref.purpose, text)
  }
  const { uid } = provider.metadata
  // Another provider of the same name sealed its own.
  const stored = record?.uid === uid ? (record.secrets ?? {}) : {}
  const sealed = Array.from(clear, ([purpose, secret]) => {
    const context = providerSecretContext(organization, { uid }, purpose)
    return [purpose, resealed(sealing, secret, context, stored[purpose])] as const
  })
  return { clear, sealed: Object.fromEntries(sealed) }
}

/** Each sealing gives another text, and another text is another record: one that is as it should be stays. */
function resealed(sealing: SealingKeys, secret: string, context: string, stored: string | undefined): string {
  const isRight =
    stored !== undefined && sealing.isCurrent(stored) && sealing.open(stored, context) === secret
  return isRight ? stored : sealing.seal(secret, context)
}

async function readSecret(
  host: ProviderSecretParts['host'],
  reader: ResourceAddress,
  { field, name, key }: ProviderSecretRef,
): Promise<SecretValue> {
  const { namespace } = reader
  const found = await host.readSecret(namespace, name, reader)
  if (found === undefined) return { refusal: secretMissing(namespace, name, field) }
  const value = valueIn(found, key, withoutLineEnd)
  if (value.refusal === undefined && value.text.length > longestSecret) {
    const message = `key ${key} of Secret ${name} has more than ${longestSecret} characters`
    return { refusal: notReady('SecretUnusable', message) }
  }
  return value
}

/** As an editor or a shell leaves it; no such secret ends with one. */
function withoutLineEnd(text: string): string {
  return text.replace(/(\r?\n)+$/, '')
}
