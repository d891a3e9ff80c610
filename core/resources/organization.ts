import { Type, type Static } from 'typebox'
import { shortIdPattern } from '#core/organizations/organization-id.ts'
import { accessListRefs, closed, duration, durationSeconds, objectName } from './fields.ts'
import { commonStatus, readyColumns, type Resource, type ResourceKind } from './resource.ts'

const count = (description: string) => Type.Integer({ minimum: 0, maximum: 2_147_483_647, description })

export const OrganizationSpecSchema = Type.Object(
  {
    displayName: Type.Optional(Type.String({ maxLength: 128, description: 'A name for people.' })),
    shortId: Type.Optional(
      Type.String({
        pattern: shortIdPattern,
        maxLength: 12,
        description:
          'Twelve characters of a-z and 2-7; users sign in as name@org_<shortId>. Written once when absent, then pinned.',
      }),
    ),
    suspended: Type.Optional(
      Type.Boolean({ description: 'Refuses every connection and exchange of this Organization while true.' }),
    ),
    allowedNamespaces: Type.Optional(
      Type.Array(
        Type.Object(
          {
            name: objectName('The namespace.'),
            accessListRefs: Type.Optional(
              accessListRefs('Ceiling: users of this namespace may do no more than these lists allow.'),
            ),
          },
          closed,
        ),
        { maxItems: 64, description: 'Other namespaces whose MqttUsers may belong to this Organization.' },
      ),
    ),
    defaultAccessListRefs: Type.Optional(
      accessListRefs(
        'Lists of everyone who refers to no list of their own. Without any, they may do nothing.',
      ),
    ),
    credentials: Type.Optional(
      Type.Object(
        {
          defaultTtl: Type.Optional(duration('Life of a temporary credential; 60m by default.')),
          maxTtl: Type.Optional(duration('Longest life a caller may ask for; 60m by default, 24h at most.')),
          maxLifetime: Type.Optional(
            duration('How long a credential may be renewed by its own password; maxTtl by default.'),
          ),
        },
        { ...closed, description: 'Temporary credentials.' },
      ),
    ),
    exchange: Type.Optional(
      Type.Object(
        {
          anonymous: Type.Optional(
            Type.Boolean({ description: 'Whether anonymous credentials may be issued; false by default.' }),
          ),
          public: Type.Optional(
            Type.Object(
              {
                origins: Type.Array(Type.String({ minLength: 1, maxLength: 253 }), {
                  minItems: 1,
                  maxItems: 32,
                  description:
                    'Web origins that may exchange without an API key; * for all of them, and for callers that are no browser.',
                }),
                limits: Type.Optional(
                  Type.Object(
                    { perMinute: Type.Optional(count('Exchanges without a key per minute.')) },
                    { ...closed, description: 'Limits of exchange without a key.' },
                  ),
                ),
              },
              { ...closed, description: 'Opens exchange without an API key; closed when absent.' },
            ),
          ),
        },
        { ...closed, description: 'Who may exchange identity tokens.' },
      ),
    ),
    sessions: Type.Optional(
      Type.Object(
        {
          maxExpiry: Type.Optional(duration('Longest time a session waits for its client; 24h by default.')),
        },
        { ...closed, description: 'MQTT sessions.' },
      ),
    ),
    limits: Type.Optional(
      Type.Object(
        {
          users: Type.Optional(
            count('Permanent users: the oldest have a place, and keep it; those beyond are refused.'),
          ),
          connections: Type.Optional(count('Connections at a time.')),
          connectionsPerUser: Type.Optional(count('Connections at a time of one user.')),
          messageRate: Type.Optional(count('Messages per second that one connection may publish.')),
          byteRate: Type.Optional(count('Bytes per second that one connection may publish.')),
          retained: Type.Optional(count('Retained messages.')),
          queued: Type.Optional(count('Messages waiting for one offline session.')),
        },
        { ...closed, description: 'Quotas; a quota that is absent is the installation’s default.' },
      ),
    ),
    willOnExpiry: Type.Optional(
      Type.Enum(['publish', 'discard'], {
        description: 'What becomes of the will when a credential expires or is revoked; publish by default.',
      }),
    ),
    durability: Type.Optional(
      Type.Enum(['stored', 'replicated'], {
        description:
          'When a publish at QoS 1 or 2 is acknowledged: once stored (default), or once a replica of Redis has it too.',
      }),
    ),
    clientCASecretRef: Type.Optional(
      Type.Object(
        { name: objectName('Name of a Secret whose ca.crt holds them in PEM, 16 at most.') },
        {
          ...closed,
          description:
            'Authorities whose client certificates identify this Organization’s users, by their common name, over MQTT with TLS and without a password.',
        },
      ),
    ),
    webSocketOrigins: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 253 }), {
        maxItems: 64,
        description: 'Web origins that may connect over WebSocket; all when absent.',
      }),
    ),
    deletionPolicy: Type.Optional(
      Type.Enum(['Delete', 'Retain'], {
        description:
          'Whether retained messages and sessions end with the Organization (Delete, default), or wait for one of the same shortId (Retain). Temporary credentials end in any case, and nobody can connect in between.',
      }),
    ),
  },
  closed,
)
export type OrganizationSpec = Static<typeof OrganizationSpecSchema>

export const OrganizationStatusSchema = Type.Object({
  ...commonStatus,
  shortId: Type.Optional(Type.String({ description: 'The id in use, with its prefix: org_….' })),
})
export type OrganizationStatus = Static<typeof OrganizationStatusSchema>
export type Organization = Resource<OrganizationSpec, OrganizationStatus>

export const defaultTtl = '60m'
const longestTtl = '24h'

const ttl = (spec: OrganizationSpec) => durationSeconds(spec.credentials?.defaultTtl ?? defaultTtl)
const maxTtl = (spec: OrganizationSpec) => durationSeconds(spec.credentials?.maxTtl ?? defaultTtl)

export const organizationKind: ResourceKind<typeof OrganizationSpecSchema, typeof OrganizationStatusSchema> =
  {
    kind: 'Organization',
    plural: 'organizations',
    singular: 'organization',
    shortNames: ['morg'],
    description:
      'A boundary of isolation: its users, topics, sessions and retained messages meet no other’s.',
    spec: OrganizationSpecSchema,
    status: OrganizationStatusSchema,
    rules: [
      {
        field: 'spec.shortId',
        at: 'spec',
        cel: '!has(oldSelf.shortId) || (has(self.shortId) && self.shortId == oldSelf.shortId)',
        remedy: 'leave it as it was: it is part of every username and can not be changed or removed',
        holds: ({ spec }, old) => old?.spec.shortId === undefined || spec.shortId === old.spec.shortId,
      },
      {
        field: 'spec.credentials.maxTtl',
        at: 'spec',
        cel: "!has(self.credentials) || !has(self.credentials.maxTtl) || duration(self.credentials.maxTtl) <= duration('24h')",
        remedy: 'give 24h or less',
        holds: ({ spec }) => maxTtl(spec) <= durationSeconds(longestTtl),
      },
      {
        field: 'spec.credentials.defaultTtl',
        at: 'spec',
        cel: "!has(self.credentials) || duration(has(self.credentials.defaultTtl) ? self.credentials.defaultTtl : '60m') <= duration(has(self.credentials.maxTtl) ? self.credentials.maxTtl : '60m')",
        remedy: 'give maxTtl (60m unless set) or less',
        holds: ({ spec }) => spec.credentials === undefined || ttl(spec) <= maxTtl(spec),
      },
      {
        field: 'spec.credentials.defaultTtl',
        at: 'spec',
        cel: "!has(self.credentials) || !has(self.credentials.defaultTtl) || duration(self.credentials.defaultTtl) >= duration('60s')",
        remedy: 'give 60s or more',
        holds: ({ spec }) => ttl(spec) >= 60,
      },
    ],
    columns: [
      { name: 'Short-Id', type: 'string', jsonPath: '.status.shortId' },
      { name: 'Suspended', type: 'boolean', jsonPath: '.spec.suspended' },
      ...readyColumns,
    ],
  }
