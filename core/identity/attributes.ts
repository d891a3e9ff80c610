import { Type, type Static } from 'typebox'
import type { Username } from '#core/credentials/username.ts'

/**
 * Values that rules may refer to as `{name}`. Well-known names: `username` (local part), `org_id`
 * (alias `org_short_id`), `client_id`, `user_id` (the token's `sub`), `email`, `agent_id`, `session_id`,
 * `provider`, and `claims.<name>` as an IdentityProvider maps them. Always read by own property.
 */
export const AttributesSchema = Type.Record(Type.String(), Type.String({ maxLength: 512 }))
export type Attributes = Static<typeof AttributesSchema>

/** Names that a rule may use; anything else in braces is an error in the manifest. */
export const wellKnownAttributes = [
  'username',
  'org_id',
  'org_short_id',
  'client_id',
  'user_id',
  'email',
  'agent_id',
  'session_id',
  'provider',
] as const

const claimName = /^claims\.[A-Za-z][A-Za-z0-9_-]{0,63}$/

export function isAttributeName(name: string): boolean {
  return (wellKnownAttributes as readonly string[]).includes(name) || claimName.test(name)
}

/** What rules see of a connection: what is known of the identity, and as whom it connects. */
export function attributesOfConnection(
  identity: Attributes,
  { local, organization }: Username,
  clientId?: string,
): Attributes {
  return {
    ...identity,
    username: local,
    org_id: organization,
    org_short_id: organization,
    ...(clientId === undefined ? {} : { client_id: clientId }),
  }
}

/** Own properties only: `constructor` and `__proto__` are absent unless somebody set them. */
export function attributeOf(attributes: Attributes, name: string): string | undefined {
  return Object.hasOwn(attributes, name) ? attributes[name] : undefined
}
