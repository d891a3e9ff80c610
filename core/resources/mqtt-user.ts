import { Type, type Static } from 'typebox'
import { AccessRuleSchema } from '#core/access/access-rule.ts'
import { isScryptCost, mostScryptCost } from '#core/credentials/verifier.ts'
import { isLocalPart, localPartPattern, temporaryPrefix } from '#core/credentials/username.ts'
import { wholeDenies } from './deny-rules.ts'
import { accessListRefs, closed, duration, durationSeconds, objectName, secretKeyRef } from './fields.ts'
import { commonStatus, readyColumns, type Resource, type ResourceKind } from './resource.ts'

const stringMap = (description: string) =>
  Type.Record(Type.String(), Type.String({ maxLength: 1024 }), { maxProperties: 32, description })

/** The union of `VerifierSchema`, flattened: a structural CRD schema knows no discriminated union. */
const passwordVerifier = Type.Object(
  {
    algorithm: Type.Enum(['sha256', 'scrypt']),
    digest: Type.String({ minLength: 43, maxLength: 43 }),
    salt: Type.Optional(Type.String({ maxLength: 64 })),
    cost: Type.Optional(
      Type.Integer({
        minimum: 1024,
        maximum: mostScryptCost,
        description: 'N of scrypt, a power of two; r is 8 and p is 1.',
      }),
    ),
  },
  { ...closed, description: 'A verifier instead of the password, as written by the users API.' },
)

const pointInTime = (description: string) => Type.String({ pattern: timePattern, maxLength: 24, description })
const timePattern = '^[0-9]{4}-[0-1][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]([.][0-9]{3})?Z$'

const formerPasswordVerifier = Type.Object(
  {
    algorithm: Type.Enum(['sha256']),
    digest: Type.String({ minLength: 43, maxLength: 43 }),
    rotatedAt: pointInTime('When passwordVerifier took its place; in UTC.'),
    notAfter: pointInTime('Until when it lets in; in UTC.'),
  },
  { ...closed, description: 'What passwordVerifier was before, and lets in for a while longer.' },
)

export const MqttUserSpecSchema = Type.Object(
  {
    organizationRef: Type.Object(
      {
        name: objectName('Name of the Organization.'),
        namespace: Type.Optional(
          objectName(
            'Its namespace, where it is another: the Organization must list this one in allowedNamespaces.',
          ),
        ),
      },
      { ...closed, description: 'The Organization this user belongs to. Can not be changed.' },
    ),
    username: Type.Optional(
      Type.String({
        pattern: localPartPattern,
        maxLength: 64,
        description: 'What stands before the @; metadata.name by default. Can not be changed.',
      }),
    ),
    passwordSecretRef: Type.Optional(
      secretKeyRef('password', 'Your own Secret with the password; it is read, never written.'),
    ),
    passwordVerifier: Type.Optional(passwordVerifier),
    formerPasswordVerifier: Type.Optional(formerPasswordVerifier),
    credentialsSecret: Type.Optional(
      Type.Object(
        {
          name: Type.Optional(objectName('Name of the generated Secret; <metadata.name>-mqtt by default.')),
          labels: Type.Optional(stringMap('Labels for it.')),
          annotations: Type.Optional(stringMap('Annotations for it.')),
        },
        { ...closed, description: 'The Secret that is generated when no password is given.' },
      ),
    ),
    rotation: Type.Optional(
      Type.Object(
        {
          interval: Type.Optional(duration('How often a generated password is renewed.')),
          overlap: Type.Optional(duration('How long the former one stays valid; 10m by default.')),
        },
        { ...closed, description: 'Rotation of a generated password.' },
      ),
    ),
    accessListRefs: Type.Optional(accessListRefs('Lists of this user, in order.')),
    ceilingAccessListRefs: Type.Optional(
      accessListRefs('Ceiling: the user may do no more than these lists allow, whatever it refers to.'),
    ),
    access: Type.Optional(
      Type.Array(AccessRuleSchema, {
        maxItems: 64,
        description: 'Rules of this user alone, after the lists.',
      }),
    ),
    limits: Type.Optional(
      Type.Object(
        {
          connections: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000_000 })),
          messageRate: Type.Optional(Type.Integer({ minimum: 0, maximum: 10_000_000 })),
          byteRate: Type.Optional(Type.Integer({ minimum: 0, maximum: 2_147_483_647 })),
        },
        { ...closed, description: 'Narrower than the Organization’s.' },
      ),
    ),
    suspended: Type.Optional(
      Type.Boolean({ description: 'Refuses the user and closes its connections while true.' }),
    ),
    deletionPolicy: Type.Optional(
      Type.Enum(['Delete', 'Retain'], {
        description:
          'Whether deleting the resource ends the user (Delete, default), or leaves it able to sign in (Retain).',
      }),
    ),
  },
  closed,
)
export type MqttUserSpec = Static<typeof MqttUserSpecSchema>

export const MqttUserStatusSchema = Type.Object({
  ...commonStatus,
  username: Type.Optional(Type.String({ description: 'The full MQTT username: local@org_….' })),
  credentialsSecret: Type.Optional(
    Type.Object({ name: Type.String() }, { description: 'The generated Secret.' }),
  ),
  secretResourceVersion: Type.Optional(Type.String({ description: 'Version of the Secret that is in use.' })),
  passwordFingerprint: Type.Optional(
    Type.String({
      description: 'By which an operator that starts knows its record again, without reading the Secret.',
    }),
  ),
  lastRotationTime: Type.Optional(
    Type.String({ format: 'date-time', description: 'When the present password was made.' }),
  ),
  previousPasswordExpiry: Type.Optional(
    Type.String({
      format: 'date-time',
      description: 'Until when the former password lets in, while it does.',
    }),
  ),
  previousPasswordLastUsed: Type.Optional(
    Type.String({
      format: 'date-time',
      description:
        'When a client last signed in by the former password; to the minute, looked at now and then.',
    }),
  ),
})
export type MqttUserStatus = Static<typeof MqttUserStatusSchema>
export type MqttUser = Resource<MqttUserSpec, MqttUserStatus>

/** The local part of the user's MQTT username. */
export function localPartOf(user: {
  readonly metadata: { readonly name: string }
  readonly spec: MqttUserSpec
}): string {
  return user.spec.username ?? user.metadata.name
}

const scryptCosts = Array.from({ length: 8 }, (_, power) => 1024 * 2 ** power)

const given = (value: unknown) => (value === undefined ? 0 : 1)

export const mqttUserKind: ResourceKind<typeof MqttUserSpecSchema, typeof MqttUserStatusSchema> = {
  kind: 'MqttUser',
  plural: 'mqttusers',
  singular: 'mqttuser',
  shortNames: ['mqu'],
  description: 'A permanent MQTT user: a device, a service, anything that can keep a password.',
  spec: MqttUserSpecSchema,
  status: MqttUserStatusSchema,
  rules: [
    {
      field: 'spec.organizationRef',
      at: 'spec',
      cel: 'self.organizationRef == oldSelf.organizationRef',
      remedy: 'leave it as it was; make a new user for another Organization',
      holds: ({ spec }, old) =>
        old === undefined ||
        (spec.organizationRef.name === old.spec.organizationRef.name &&
          spec.organizationRef.namespace === old.spec.organizationRef.namespace),
    },
    {
      field: 'spec.username',
      at: 'spec',
      cel: 'has(self.username) == has(oldSelf.username) && (!has(self.username) || self.username == oldSelf.username)',
      remedy: 'leave it as it was; make a new user for another name',
      holds: ({ spec }, old) => old === undefined || spec.username === old.spec.username,
    },
    {
      field: 'spec.username',
      at: 'object',
      cel: "has(self.spec.username) || self.metadata.name.matches('^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$')",
      remedy: 'give a username of at most 64 characters: metadata.name is too long to be one',
      holds: ({ name, spec }) => spec.username !== undefined || isLocalPart(name),
    },
    {
      field: 'spec.username',
      at: 'object',
      cel: "!(has(self.spec.username) ? self.spec.username : self.metadata.name).startsWith('tmp_')",
      remedy: 'choose a name that does not begin with tmp_: those are temporary credentials',
      holds: ({ name, spec }) => !(spec.username ?? name).startsWith(temporaryPrefix),
    },
    {
      field: 'spec.passwordSecretRef',
      at: 'spec',
      cel: '!(has(self.passwordSecretRef) && has(self.passwordVerifier))',
      remedy: 'give either passwordSecretRef or passwordVerifier, or neither to have a password generated',
      holds: ({ spec }) => given(spec.passwordSecretRef) + given(spec.passwordVerifier) <= 1,
    },
    {
      field: 'spec.passwordVerifier',
      at: 'spec',
      cel: "!has(self.passwordVerifier) || self.passwordVerifier.algorithm != 'scrypt' || (has(self.passwordVerifier.salt) && has(self.passwordVerifier.cost))",
      remedy: 'give salt and cost with algorithm scrypt',
      holds: ({ spec: { passwordVerifier } }) =>
        passwordVerifier?.algorithm !== 'scrypt' ||
        (passwordVerifier.salt !== undefined && passwordVerifier.cost !== undefined),
    },
    {
      field: 'spec.passwordVerifier.cost',
      at: 'spec',
      cel: `!has(self.passwordVerifier) || !has(self.passwordVerifier.cost) || self.passwordVerifier.cost in [${scryptCosts.join(', ')}]`,
      remedy: `give a power of two: ${scryptCosts.join(', ')}`,
      holds: ({ spec: { passwordVerifier } }) =>
        passwordVerifier?.cost === undefined || isScryptCost(passwordVerifier.cost),
    },
    {
      field: 'spec.formerPasswordVerifier',
      at: 'spec',
      cel: '!has(self.formerPasswordVerifier) || has(self.passwordVerifier)',
      remedy: 'leave it out, or give passwordVerifier as well',
      holds: ({ spec }) => spec.formerPasswordVerifier === undefined || spec.passwordVerifier !== undefined,
    },
    {
      field: 'spec.rotation',
      at: 'spec',
      cel: '!has(self.rotation) || !(has(self.passwordSecretRef) || has(self.passwordVerifier))',
      remedy: 'leave it out: only a generated password is rotated',
      holds: ({ spec }) =>
        spec.rotation === undefined || (spec.passwordSecretRef ?? spec.passwordVerifier) === undefined,
    },
    {
      field: 'spec.rotation.overlap',
      at: 'spec',
      cel: "!has(self.rotation) || !has(self.rotation.interval) || duration(has(self.rotation.overlap) ? self.rotation.overlap : '10m') < duration(self.rotation.interval)",
      remedy: 'make overlap (10m unless set) shorter than interval',
      holds: ({ spec: { rotation } }) =>
        rotation?.interval === undefined ||
        durationSeconds(rotation.overlap ?? '10m') < durationSeconds(rotation.interval),
    },
    wholeDenies('access'),
  ],
  columns: [
    { name: 'Organization', type: 'string', jsonPath: '.spec.organizationRef.name' },
    { name: 'Username', type: 'string', jsonPath: '.status.username' },
    ...readyColumns,
    { name: 'Secret', type: 'string', jsonPath: '.status.credentialsSecret.name', priority: 1 },
  ],
}
