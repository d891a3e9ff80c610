import { type Static, type TObject, type TProperties, Type } from 'typebox'

/**
 * What is written down of who came, who was refused and whose access ended: the contract of the audit lines, see
 * docs/audit.md. A new event is one entry in `auditEvents`, and its example there. Names and fields that are there stay
 * what they are; what changes them raises `auditVersion`.
 *
 * No field holds a secret, a token, a payload or anything else that a client may have typed in by mistake for its name.
 */
export const auditVersion = 1

/** Why a CONNECT was refused. The client hears one answer for the first seven. */
export const clientRefusals = [
  'malformed-username',
  'unknown-organization',
  'unknown-user',
  'unknown-credential',
  'wrong-password',
  'wrong-certificate',
  'credential-expired',
  'organization-suspended',
  'user-suspended',
  'wrong-client-id',
  'malformed-client-id',
  'authentication-method',
  'origin-not-allowed',
  'will-not-allowed',
  'malformed-will',
  'organization-full',
  'principal-full',
  'throttled-name',
  'throttled-address',
  'busy',
  'unavailable',
  'malformed-packet',
  'protocol-error',
  'packet-too-large',
  'connect-timeout',
] as const

const text = Type.String()
const maybe = Type.Optional(text)
const time = Type.Optional(Type.String({ description: 'RFC 3339' }))
/** How many like it were left out of the log in the last minute; it then stands for them alone. */
const omitted = Type.Optional(Type.Integer({ minimum: 1 }))

/** Only an organization that exists: nobody else can put a line into its log, or a label into a metric. */
const organization = maybe

const client = {
  organization,
  username: maybe,
  principal: maybe,
  /** Id of a temporary credential. */
  credential: maybe,
  clientId: maybe,
  address: maybe,
  /** The listener: mqtts, wss, mqtt, ws. */
  protocol: maybe,
  /** Of MQTT. */
  version: Type.Optional(Type.Enum(['3.1', '3.1.1', '5'])),
}

/** Who asked for something over HTTP, and for whom. */
const caller = {
  organization,
  /** Name of the ApiKey, never the key. */
  apiKey: maybe,
  address: maybe,
  /** As the answer's Request-Id says it. */
  request: maybe,
}
const issued = {
  ...caller,
  kind: maybe,
  /** Name of the IdentityProvider. */
  provider: maybe,
  principal: maybe,
  /** `user_id` of whom it is, as the provider calls them. */
  subject: maybe,
  credential: maybe,
  /** Of the provider; what its webhooks name. */
  session: maybe,
  /** `jti` of the identity token. */
  tokenId: maybe,
  /** Who acts as the subject, or for them: agents and whoever impersonates a user, the latest first. */
  actors: Type.Optional(Type.Array(text)),
}

/**
 * - `routine`: all is as it should be; not written with CLOUDSIGNAL_AUDIT=refusals
 * - `ending`:  somebody's access ended
 * - `refusal`: whoever floods them is written down a few times a minute, and counted
 */
export const auditNatures = ['routine', 'ending', 'refusal'] as const
export type AuditNature = (typeof auditNatures)[number]

interface AuditEventKind<Fields extends TProperties> {
  readonly fields: TObject<Fields>
  /** For people. */
  readonly message: string
  readonly nature: AuditNature
}

const kind = <const Fields extends TProperties>(
  nature: AuditEventKind<Fields>['nature'],
  message: string,
  fields: Fields,
): AuditEventKind<Fields> => ({
  nature,
  message,
  fields: Type.Object(fields, { additionalProperties: false }),
})

export const auditEvents = {
  'client.connected': kind('routine', 'a client was let in', { ...client, expiresAt: time }),
  'client.refused': kind('refusal', 'a client was refused', {
    ...client,
    reason: Type.Enum(clientRefusals),
    /** What the store or the parser said. */
    detail: maybe,
    omitted,
  }),
  'client.disconnected': kind('routine', 'a client is gone', { ...client, reason: text }),
  'client.taken-over': kind('routine', 'a client was replaced by a later connection', client),
  'client.expired': kind('ending', 'the credential of a client ended', client),
  'client.revoked': kind('ending', 'the access of a client was taken away', client),
  'access.denied': kind('refusal', 'an access list denied a request', {
    ...client,
    action: Type.Enum(['publish', 'subscribe']),
    topic: text,
    reason: text,
    /** The list that decided, and which of its rules. */
    list: maybe,
    rule: Type.Optional(Type.Integer({ minimum: 0 })),
    omitted,
  }),
  'credential.issued': kind('routine', 'a credential was issued', { ...issued, expiresAt: time }),
  'credential.refused': kind('refusal', 'a credential was refused', {
    ...issued,
    /** A problem code of the API: the exact one, whatever the caller was told. */
    reason: text,
    detail: maybe,
    omitted,
  }),
  'credential.renewed': kind('routine', 'a credential was renewed', {
    ...issued,
    clientId: maybe,
    expiresAt: time,
  }),
  'credential.renewal-refused': kind('refusal', 'a renewal was refused', {
    ...issued,
    clientId: maybe,
    reason: text,
    detail: maybe,
    omitted,
  }),
  'credential.revoked': kind('ending', 'credentials were revoked', {
    ...caller,
    /** What was named: one credential, or all of somebody. */
    target: Type.Enum([
      'credential',
      'principal',
      'subject',
      'session',
      'provider',
      'api-key',
      'organization',
    ]),
    /** What a webhook of the provider said, where it was one. */
    webhook: maybe,
    session: maybe,
    credential: maybe,
    principal: maybe,
    subject: maybe,
    provider: maybe,
    /** Name of the ApiKey whose tokens ended; the caller's own is `apiKey`. */
    issuedBy: maybe,
    issuedBefore: time,
  }),
  'user.created': kind('routine', 'a permanent user was created', { ...caller, principal: maybe }),
  'user.changed': kind('routine', 'a permanent user was changed', {
    ...caller,
    principal: maybe,
    /** What of it was given. */
    fields: Type.Array(text),
  }),
  'user.password-rotated': kind('ending', 'a permanent user got another password', {
    ...caller,
    principal: maybe,
  }),
  'user.deleted': kind('ending', 'a permanent user was deleted', { ...caller, principal: maybe }),
  'session.ended': kind('ending', 'a session was ended on request', {
    ...caller,
    principal: maybe,
    clientId: maybe,
  }),
  'webhook.refused': kind('refusal', 'a webhook was refused', {
    ...caller,
    provider: maybe,
    /** `not-configured`, `replayed`, `malformed-headers`, `out-of-time` or `wrong-signature`; the sender hears of none. */
    reason: text,
    omitted,
  }),
  'api-key.refused': kind('refusal', 'an API key was refused', {
    ...caller,
    /** `malformed`, `unknown`, `other-organization`, or a problem code such as `insufficient_scope`. */
    reason: text,
    detail: maybe,
    omitted,
  }),
  'request.limited': kind('refusal', 'a request was one too many', {
    ...caller,
    /** Which limit: key, organization, without-key, subject, address. */
    reason: text,
    omitted,
  }),
} as const satisfies Record<string, AuditEventKind<TProperties>>

export type ClientRefusal = (typeof clientRefusals)[number]

export type AuditEventName = keyof typeof auditEvents

/** Fields that are not known may be left out or be undefined. */
type Fields<Name extends AuditEventName> = Loose<Static<(typeof auditEvents)[Name]['fields']>>
type Loose<Of> = { readonly [Key in keyof Of]: {} extends Pick<Of, Key> ? Of[Key] | undefined : Of[Key] }

export type AuditEvent = {
  [Name in AuditEventName]: { readonly event: Name } & Fields<Name>
}[AuditEventName]
