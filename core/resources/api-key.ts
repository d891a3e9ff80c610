import { Type, type Static } from 'typebox'
import { accessListRefs, closed, objectName, organizationRef } from './fields.ts'
import { immutableOrganization } from './organization-ref.ts'
import { commonStatus, readyColumns, type Resource, type ResourceKind } from './resource.ts'

export const apiKeyTypes = ['secret', 'publishable'] as const
export const apiKeyScopes = [
  'exchange',
  'tokens:create',
  'users:write',
  'sessions',
  'revoke',
  'explain',
  'audit',
  'connect',
] as const
export type ApiKeyScope = (typeof apiKeyScopes)[number]

export const ApiKeySpecSchema = Type.Object(
  {
    organizationRef,
    type: Type.Enum(apiKeyTypes, {
      description: 'secret (cs_sk_…, for backends) or publishable (cs_pk_…, for browsers: exchange only).',
    }),
    scopes: Type.Array(Type.Enum(apiKeyScopes), {
      minItems: 1,
      maxItems: apiKeyScopes.length,
      uniqueItems: true,
      description: 'What the key may be used for.',
    }),
    accessListRefs: Type.Optional(
      accessListRefs('Ceiling: whatever the key issues may do no more than these lists allow.'),
    ),
    attributes: Type.Optional(
      Type.Array(Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_-]{0,63}$', maxLength: 64 }), {
        maxItems: 32,
        description:
          'Identity variables that a token request may set: email, session_id and user_id under their own names, any other as claims.<name>. None by default.',
      }),
    ),
    agentIdPattern: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 256,
        description: 'Regular expression that agent ids must match whole.',
      }),
    ),
    origins: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 253 }), {
        maxItems: 32,
        description: 'Web origins that may use a publishable key.',
      }),
    ),
    limits: Type.Optional(
      Type.Object(
        { perMinute: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })) },
        { ...closed, description: 'Rate of requests with this key.' },
      ),
    ),
    keySecret: Type.Optional(
      Type.Object(
        { name: objectName('Name of the generated Secret; <metadata.name>-api-key by default.') },
        { ...closed, description: 'The Secret that the key is written to.' },
      ),
    ),
  },
  closed,
)
export type ApiKeySpec = Static<typeof ApiKeySpecSchema>

export const ApiKeyStatusSchema = Type.Object({
  ...commonStatus,
  keySecret: Type.Optional(Type.Object({ name: Type.String() }, { description: 'The Secret with the key.' })),
  lastUsed: Type.Optional(Type.String({ format: 'date-time', description: 'Coarse: to the hour or two.' })),
})
export type ApiKeyStatus = Static<typeof ApiKeyStatusSchema>
export type ApiKey = Resource<ApiKeySpec, ApiKeyStatus>

export const apiKeyKind: ResourceKind<typeof ApiKeySpecSchema, typeof ApiKeyStatusSchema> = {
  kind: 'ApiKey',
  plural: 'apikeys',
  singular: 'apikey',
  shortNames: ['mak'],
  description: 'A key of an Organization for its backends or browsers; generated into a Secret.',
  spec: ApiKeySpecSchema,
  status: ApiKeyStatusSchema,
  rules: [
    immutableOrganization(),
    {
      field: 'spec.type',
      at: 'spec',
      cel: 'self.type == oldSelf.type',
      remedy: 'leave it as it was; make a new key of the other type',
      holds: ({ spec }, old) => old === undefined || spec.type === old.spec.type,
    },
    {
      field: 'spec.scopes',
      at: 'spec',
      cel: "self.type != 'publishable' || self.scopes.all(scope, scope == 'exchange')",
      remedy: 'a publishable key has the scope exchange and no other',
      holds: ({ spec }) => spec.type !== 'publishable' || spec.scopes.every((scope) => scope === 'exchange'),
    },
  ],
  columns: [
    { name: 'Organization', type: 'string', jsonPath: '.spec.organizationRef.name' },
    { name: 'Type', type: 'string', jsonPath: '.spec.type' },
    ...readyColumns,
    { name: 'Last Used', type: 'date', jsonPath: '.status.lastUsed' },
    { name: 'Secret', type: 'string', jsonPath: '.status.keySecret.name', priority: 1 },
  ],
}
