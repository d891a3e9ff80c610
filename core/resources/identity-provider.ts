import { Type, type Static } from 'typebox'
import { accessListRefs, closed, duration, durationSeconds, organizationRef, secretKeyRef } from './fields.ts'
import { immutableOrganization } from './organization-ref.ts'
import { commonStatus, readyColumns, type Resource, type ResourceKind } from './resource.ts'

export const providerTypes = ['supabase', 'firebase', 'auth0', 'clerk', 'oidc'] as const
export type ProviderType = (typeof providerTypes)[number]

const url = (description: string) =>
  Type.String({ pattern: '^https?://[^\\s?#@]+$', maxLength: 512, description })
const urls = (description: string) =>
  Type.Array(url('One issuer.'), { minItems: 1, maxItems: 8, description })
const audiences = (description: string) =>
  Type.Array(Type.String({ minLength: 1, maxLength: 512 }), { minItems: 1, maxItems: 16, description })
const pointer = Type.String({
  pattern: '^(/([^~/]|~0|~1)*)+$',
  maxLength: 256,
  description: 'JSON pointer (RFC 6901) into the token’s claims.',
})

const supabase = Type.Object(
  {
    url: url('Project URL, such as https://abc.supabase.co; the issuer is <url>/auth/v1.'),
    jwtSecretRef: Type.Optional(
      secretKeyRef(
        'secret',
        'The project’s legacy JWT secret. Tokens that it signed (HS256) are then accepted beside those of the asymmetric keys.',
      ),
    ),
  },
  { ...closed, description: 'Supabase: access tokens.' },
)
const firebase = Type.Object(
  {
    projectId: Type.String({ pattern: '^[a-z][a-z0-9-]{4,61}$', maxLength: 62, description: 'Project id.' }),
    tenant: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 128,
        description: 'Identity Platform tenant; none by default.',
      }),
    ),
    keyFormat: Type.Optional(
      Type.Enum(['jwk', 'x509'], {
        description: 'Which of Google’s two lists of the same keys is read; jwk by default.',
      }),
    ),
  },
  { ...closed, description: 'Firebase: ID tokens.' },
)
const auth0 = Type.Object(
  {
    issuers: urls('Tenant or custom domains, with the trailing slash that Auth0 issues.'),
    audience: audiences('API identifiers; a token must have one of them.'),
  },
  { ...closed, description: 'Auth0: access tokens of an API.' },
)
const clerk = Type.Object(
  {
    issuer: url('Frontend API URL, such as https://clerk.example.com.'),
    authorizedParties: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 253 }), {
        maxItems: 32,
        description: 'Origins that azp must be one of; recommended.',
      }),
    ),
    publicKey: Type.Optional(
      Type.String({
        pattern: '^-----BEGIN PUBLIC KEY-----\\n[A-Za-z0-9+/=\\n]+\\n-----END PUBLIC KEY-----\\n?$',
        maxLength: 4096,
        description:
          'The instance’s JWKS public key (PEM). Clerk is then never asked for keys, and a new one has to be put here.',
      }),
    ),
  },
  { ...closed, description: 'Clerk: session tokens.' },
)
const oidc = Type.Object(
  {
    issuer: url('Exactly as it stands in the tokens; discovery is read below it.'),
    audience: audiences('A token must have one of them.'),
    jwksUri: Type.Optional(url('Keys, where discovery should not be asked.')),
    algorithms: Type.Optional(
      Type.Array(
        Type.Enum(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']),
        {
          minItems: 1,
          maxItems: 10,
          description: 'Signature algorithms; RS256 and ES256 by default.',
        },
      ),
    ),
  },
  { ...closed, description: 'Any OpenID Connect or RFC 9068 issuer.' },
)

/** What each type is told, by its name: the block of the resource that carries it. */
export const providerSettings = { supabase, firebase, auth0, clerk, oidc } as const satisfies Record<
  ProviderType,
  unknown
>

export type ProviderSettings = { [Type in ProviderType]: Static<(typeof providerSettings)[Type]> }

export const IdentityProviderSpecSchema = Type.Object(
  {
    organizationRef,
    type: Type.Enum(providerTypes, {
      description: 'Which kind; its settings stand in the block of that name.',
    }),
    supabase: Type.Optional(supabase),
    firebase: Type.Optional(firebase),
    auth0: Type.Optional(auth0),
    clerk: Type.Optional(clerk),
    oidc: Type.Optional(oidc),
    suspended: Type.Optional(
      Type.Boolean({
        description: 'Refuses every exchange while true, and ends at once what was exchanged here.',
      }),
    ),
    boundClaims: Type.Optional(
      Type.Array(
        Type.Object(
          {
            claim: pointer,
            values: Type.Array(Type.String({ maxLength: 512 }), {
              minItems: 1,
              maxItems: 32,
              description: 'The claim, or one element of it, must equal one of them.',
            }),
          },
          closed,
        ),
        { maxItems: 32, description: 'Claims a token must have.' },
      ),
    ),
    attributes: Type.Optional(
      Type.Array(
        Type.Object(
          {
            name: Type.String({
              pattern: '^[A-Za-z][A-Za-z0-9_-]{0,63}$',
              maxLength: 64,
              description: 'Rules use it as {claims.<name>}.',
            }),
            claim: pointer,
          },
          closed,
        ),
        {
          maxItems: 32,
          description: 'Claims that become identity variables.',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
        },
      ),
    ),
    allowAnonymous: Type.Optional(Type.Boolean({ description: 'Accepts anonymous users of the provider.' })),
    allowMachine: Type.Optional(Type.Boolean({ description: 'Accepts machine-to-machine tokens.' })),
    allowImpersonation: Type.Optional(
      Type.Boolean({
        description:
          'Accepts tokens that say that somebody else acts as the user (claim act), such as Clerk’s of a user who is impersonated; true by default. The audit log names who acts.',
      }),
    ),
    bindToTokenExpiry: Type.Optional(
      Type.Boolean({ description: 'Ends the credential with the identity token; false by default.' }),
    ),
    liveCheck: Type.Optional(
      Type.Object(
        {
          secretRef: Type.Optional(
            secretKeyRef(
              'key',
              'API key of supabase (publishable or secret), firebase (Web API key) or clerk (secret key); for auth0 JSON with domain, client_id and client_secret of an application that may read users.',
            ),
          ),
        },
        {
          ...closed,
          description: 'Asks the provider at each exchange whether the user may still sign in.',
        },
      ),
    ),
    webhook: Type.Optional(
      Type.Object(
        { secretRef: secretKeyRef('secret', 'What the provider signs its webhooks with: whsec_....') },
        {
          ...closed,
          description:
            'Takes the provider’s webhooks (Clerk, Supabase) and revokes who was deleted or banned, and what was exchanged in a session that ended.',
        },
      ),
    ),
    accessListRefs: Type.Optional(accessListRefs('Lists of everyone who signs in here.')),
    ttl: Type.Optional(duration('Life of a credential; the Organization’s by default.')),
  },
  closed,
)
export type IdentityProviderSpec = Static<typeof IdentityProviderSpecSchema>

export const IdentityProviderStatusSchema = Type.Object({
  ...commonStatus,
  issuer: Type.Optional(Type.String()),
  keyIds: Type.Optional(Type.Array(Type.String())),
})
export type IdentityProviderStatus = Static<typeof IdentityProviderStatusSchema>
export type IdentityProvider = Resource<IdentityProviderSpec, IdentityProviderStatus>

/** Whether a live check needs a secret of ours; some are asked by the token itself. */
const liveCheckSecret = {
  supabase: 'needed',
  firebase: 'needed',
  clerk: 'needed',
  auth0: 'possible',
  oidc: 'none',
} as const satisfies Record<ProviderType, string>
const typesWith = (use: (typeof liveCheckSecret)[ProviderType]): readonly ProviderType[] =>
  providerTypes.filter((type) => liveCheckSecret[type] === use)
const quoted = (types: readonly string[]): string => types.map((type) => `'${type}'`).join(', ')

export const identityProviderKind: ResourceKind<
  typeof IdentityProviderSpecSchema,
  typeof IdentityProviderStatusSchema
> = {
  kind: 'IdentityProvider',
  plural: 'identityproviders',
  singular: 'identityprovider',
  shortNames: ['midp'],
  description: 'Who signs the identity tokens that may be exchanged for MQTT credentials.',
  spec: IdentityProviderSpecSchema,
  status: IdentityProviderStatusSchema,
  rules: [
    immutableOrganization(),
    {
      field: 'spec.type',
      at: 'spec',
      cel: providerTypes.map((type) => `(self.type == '${type}') == has(self.${type})`).join(' && '),
      remedy: 'give exactly the block that type names',
      holds: ({ spec }) => providerTypes.every((type) => (spec.type === type) === (spec[type] !== undefined)),
    },
    {
      field: 'spec.liveCheck.secretRef',
      at: 'spec',
      cel: `!has(self.liveCheck) || (has(self.liveCheck.secretRef) ? !(self.type in [${quoted(typesWith('none'))}]) : !(self.type in [${quoted(typesWith('needed'))}]))`,
      remedy: `give it for ${typesWith('needed').join(', ')}, and leave it out for ${typesWith('none').join(', ')}`,
      holds: ({ spec }) =>
        spec.liveCheck === undefined ||
        liveCheckSecret[spec.type] !== (spec.liveCheck.secretRef === undefined ? 'needed' : 'none'),
    },
    {
      field: 'spec.webhook',
      at: 'spec',
      cel: "!has(self.webhook) || self.type in ['clerk', 'supabase']",
      remedy: 'leave it out: only webhooks of Clerk and Supabase are known',
      holds: ({ spec }) => spec.webhook === undefined || ['clerk', 'supabase'].includes(spec.type),
    },
    {
      field: 'spec.ttl',
      at: 'spec',
      cel: "!has(self.ttl) || (duration(self.ttl) >= duration('60s') && duration(self.ttl) <= duration('24h'))",
      remedy: 'give 60s to 24h',
      holds: ({ spec }) =>
        spec.ttl === undefined || (durationSeconds(spec.ttl) >= 60 && durationSeconds(spec.ttl) <= 86_400),
    },
  ],
  columns: [
    { name: 'Organization', type: 'string', jsonPath: '.spec.organizationRef.name' },
    { name: 'Type', type: 'string', jsonPath: '.spec.type' },
    ...readyColumns,
  ],
}
