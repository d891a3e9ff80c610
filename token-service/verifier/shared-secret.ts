import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto'
import type { ProviderRecord } from '#core/identity/provider-record.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { openProviderSecret } from '#core/sealing/provider-secrets.ts'
import type { SealingKeys } from '#core/sealing/sealing-keys.ts'

/** Records are shared for as long as they stay the same. */
const opened = new WeakMap<ProviderRecord, KeyObject>()

/** What the provider signs by HS256 with; undefined where it has none. Throws `secret-sealed`. */
export function sharedSecretOf(
  sealing: SealingKeys | undefined,
  organization: OrganizationId,
  record: ProviderRecord,
): KeyObject | undefined {
  const known = opened.get(record)
  if (known !== undefined) return known
  const text = openProviderSecret(sealing, organization, record, 'jwt')
  if (text === undefined) return undefined
  // The text itself, as GoTrue takes it, also where it looks like base64.
  const key = createSecretKey(Buffer.from(text))
  opened.set(record, key)
  return key
}

/**
 * Whether whoever made a compact JWS knows the secret (RFC 7518 §3.2). Public keys never come here: the key is one that was
 * sealed for it. The token's spelling has been checked.
 */
export function isMacOf(token: string, secret: KeyObject): boolean {
  const dot = token.lastIndexOf('.')
  const given = Buffer.from(token.slice(dot + 1), 'base64url')
  const right = createHmac('sha256', secret).update(token.slice(0, dot), 'latin1').digest()
  return given.length === right.length && timingSafeEqual(given, right)
}
