import { type Static, Type } from 'typebox'
import { AccessRuleSchema } from '#core/access/access-rule.ts'
import { formatUsername, localPartPattern } from '#core/credentials/username.ts'
import { type OrganizationId, parseOrganizationId } from '#core/organizations/organization-id.ts'
import { localPartOf, type MqttUser, MqttUserSpecSchema } from '#core/resources/mqtt-user.ts'
import { ProblemError } from '../../problems.ts'
import { keyAnnotation, readyOf } from '../../users/users.ts'
import { namesOf } from '../../users/user-in-force.ts'
import type { WantedUser } from '../../users/wanted-user.ts'
import { closed } from '../request-fields.ts'

/** What the routes of users take and answer. */

const { connections, messageRate, byteRate } = MqttUserSpecSchema.properties.limits.properties

const limits = Type.Object(
  { connections, message_rate: messageRate, byte_rate: byteRate },
  { ...closed, description: 'Narrower than the organization’s: connections, messages and bytes a second.' },
)

export const wantedFields = {
  access_lists: Type.Optional(
    Type.Array(Type.String({ minLength: 1, maxLength: 253 }), {
      maxItems: 16,
      description:
        'Names of AccessLists. Without any, and without rules, those that are the organization’s default.',
    }),
  ),
  access: Type.Optional(
    Type.Array(AccessRuleSchema, {
      maxItems: 64,
      description: 'Rules of this user alone, beside the lists.',
    }),
  ),
  limits: Type.Optional(limits),
  suspended: Type.Optional(
    Type.Boolean({ description: 'Refuses the user and closes its connections while true.' }),
  ),
}
const WantedFields = Type.Object(wantedFields)

export const username = Type.String({
  pattern: localPartPattern,
  description:
    'What stands before the @ of the MQTT username, such as sensor_01. It does not begin with tmp_.',
})

export const UserParams = Type.Object({
  username: Type.String({ description: 'Such as sensor_01, or sensor_01@org_….' }),
})

export const userAnswer = {
  name: Type.String({ description: 'What stands before the @.' }),
  username: Type.String({ description: 'The MQTT username.' }),
  status: Type.Enum(['active', 'suspended', 'pending'], {
    description: 'pending: what is asked for is not in force yet, or can not be; then problem says why.',
  }),
  problem: Type.Optional(
    Type.Object(
      { reason: Type.String(), message: Type.String() },
      { description: 'Why the user can not do what it should, such as NoAccess.' },
    ),
  ),
  access_lists: Type.Array(Type.String()),
  access: Type.Array(AccessRuleSchema),
  limits,
  suspended: Type.Boolean(),
  former_password_expires_at: Type.Optional(
    Type.String({
      format: 'date-time',
      description: 'After a rotation with overlap: when that ends, or did.',
    }),
  ),
  created_at: Type.String({ format: 'date-time' }),
  created_by: Type.Optional(Type.String({ description: 'Name of the ApiKey.' })),
}
export const UserAnswer = Type.Object(userAnswer, { title: 'User' })

export function wantedOf(body: Static<typeof WantedFields>): WantedUser {
  const { access_lists: lists, access, suspended } = body
  const { connections, message_rate: messageRate, byte_rate: byteRate } = body.limits ?? {}
  const given = { connections, messageRate, byteRate }
  const limits = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  return { lists, access, suspended, limits: body.limits === undefined ? undefined : limits }
}

/** The local part of a username of the organization; rejects with `user_not_found` for anybody else's. */
export function localNameOf(text: string, organization: OrganizationId): string {
  const at = text.lastIndexOf('@')
  if (at === -1) return text
  if (parseOrganizationId(text.slice(at + 1)) !== organization) throw new ProblemError('user_not_found')
  return text.slice(0, at)
}

export function userAnswerOf(
  user: MqttUser,
  organization: OrganizationId,
  isInForce: boolean,
): Static<typeof UserAnswer> {
  const { metadata, spec } = user
  const name = localPartOf(user)
  const { connections, messageRate, byteRate } = spec.limits ?? {}
  const suspended = spec.suspended ?? false
  const former = spec.formerPasswordVerifier
  const ready = readyOf(user)
  const isProblem = ready?.status === 'False' && !ready.reason.endsWith('Suspended')
  const createdBy = metadata.annotations?.[keyAnnotation]
  return {
    name,
    username: formatUsername({ local: name, organization }),
    status: !isInForce ? 'pending' : suspended ? 'suspended' : 'active',
    ...(isProblem ? { problem: { reason: ready.reason, message: ready.message } } : {}),
    access_lists: namesOf(spec.accessListRefs),
    access: spec.access ?? [],
    limits: {
      ...(connections === undefined ? {} : { connections }),
      ...(messageRate === undefined ? {} : { message_rate: messageRate }),
      ...(byteRate === undefined ? {} : { byte_rate: byteRate }),
    },
    suspended,
    ...(former === undefined ? {} : { former_password_expires_at: former.notAfter }),
    created_at: new Date(metadata.creationTimestamp ?? 0).toISOString(),
    ...(createdBy === undefined ? {} : { created_by: createdBy }),
  }
}
