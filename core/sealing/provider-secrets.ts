import { DomainError } from '#core/errors.ts'
import type { ProviderRecord } from '#core/identity/provider-record.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { SealingKeys } from './sealing-keys.ts'

/**
 * Secrets of a provider that the token service has to read.
 *
 * - `jwt`         what the provider signs its tokens with, where that is a shared secret
 * - `live-check`  what the provider asks of those who ask it about a user
 * - `webhook`     what the provider signs its webhooks with
 */
export type ProviderSecretName = 'jwt' | 'live-check' | 'webhook'

/** Whose secret it is and what for: sealed for one, it opens for no other. */
export function providerSecretContext(
  organization: OrganizationId,
  { uid }: Pick<ProviderRecord, 'uid'>,
  name: ProviderSecretName,
): string {
  return `${organization}/${uid}/${name}`
}

/** Undefined where the record has none of that name. Throws `secret-sealed` where it can not be opened here. */
export function openProviderSecret(
  keys: SealingKeys | undefined,
  organization: OrganizationId,
  record: Pick<ProviderRecord, 'uid' | 'secrets'>,
  name: ProviderSecretName,
): string | undefined {
  const sealed = record.secrets?.[name]
  if (sealed === undefined) return undefined
  const secret = keys?.open(sealed, providerSecretContext(organization, record, name))
  if (secret !== undefined) return secret
  throw new DomainError(
    'secret-sealed',
    keys === undefined
      ? 'a secret of a provider is needed, and CLOUDSIGNAL_SEALING_KEYS_FILE names no key to open it'
      : 'a secret of a provider was sealed under none of the keys in CLOUDSIGNAL_SEALING_KEYS_FILE: it must hold those of the operator',
  )
}
