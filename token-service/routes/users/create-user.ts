import { type Static, Type } from 'typebox'
import { isTemporary } from '#core/credentials/username.ts'
import { userPrincipal } from '#core/identity/principal.ts'
import type { App } from '../../app.ts'
import { auditedFields } from '../../audit/audited-request.ts'
import { bodyProblems } from '../../openapi/route-docs.ts'
import { bearerOf, requireApiKey } from '../../plugins/api-key.ts'
import { ProblemError } from '../../problems.ts'
import { closed } from '../request-fields.ts'
import { userAnswer, userAnswerOf, username, wantedFields, wantedOf } from './user-fields.ts'
import { usersDocs, usersOf, usersProblems, type UsersRouteOptions } from './users-route.ts'

const CreateUserBody = Type.Object({ username, ...wantedFields }, closed)

const CreatedAnswer = Type.Object({
  ...userAnswer,
  password: Type.String({ description: 'The MQTT password. Shown once.' }),
  organization: Type.String(),
  endpoints: Type.Optional(
    Type.Object(
      { mqtts: Type.Optional(Type.String()), wss: Type.Optional(Type.String()) },
      { description: 'Where to connect.' },
    ),
  ),
})

export function createUserRoute(app: App, options: UsersRouteOptions): void {
  const { identities, audit, endpoints } = options
  app.post(
    '/v1/users',
    {
      schema: {
        body: CreateUserBody,
        response: {
          201: { ...CreatedAnswer, description: 'The user can connect.' },
          202: { ...CreatedAnswer, description: 'The user is written, and can connect soon.' },
        },
      },
      onRequest: requireApiKey(identities, 'users:write'),
      config: {
        docs: {
          ...usersDocs,
          summary: 'Create a permanent user',
          description:
            'The password is generated and shown in this answer only. With an Idempotency-Key, the same request by ' +
            'the same API key gets the same answer for 24 hours; without one, a username that is taken is refused. ' +
            'A user of a key with access lists may never do more than these allow.',
          problems: [
            ...usersProblems,
            ...bodyProblems,
            'access_list_not_found',
            'idempotency_key_reused',
            'user_exists',
            'user_limit_reached',
          ],
          example: { username: 'sensor_01', access_lists: ['devices'] },
        },
      },
    },
    async (request, reply) => {
      const { users, caller } = await usersOf(options, request)
      const { body } = request
      if (isTemporary(body.username)) {
        const remedy = 'choose a name that does not begin with tmp_: those are temporary credentials'
        throw new ProblemError('invalid_request', { errors: [{ field: 'username', remedy }] })
      }
      const key = idempotencyKeyOf(request.headers['idempotency-key'])
      const idempotency = key === undefined ? undefined : { key, apiKey: bearerOf(request) }
      const created = await users.create(caller, body.username, wantedOf(body), idempotency)
      const { isInForce, password, isRepeated } = created
      if (!isRepeated) {
        const principal = userPrincipal(body.username)
        audit.record({ event: 'user.created', ...auditedFields(request), principal })
      }
      const isReachable = endpoints.mqtts !== undefined || endpoints.wss !== undefined
      const answer: Static<typeof CreatedAnswer> = {
        ...userAnswerOf(created.user, caller.organization, isInForce),
        password,
        organization: caller.organization,
        ...(isReachable ? { endpoints } : {}),
      }
      return reply.code(isInForce ? 201 : 202).send(answer)
    },
  )
}

/** As a structured field it would stand in quotes; many write it without. */
function idempotencyKeyOf(header: string | string[] | undefined): string | undefined {
  if (header === undefined) return undefined
  if (typeof header === 'string' && /^[\x21-\x7e]{8,255}$/.test(header)) return header
  const remedy = 'give 8 to 255 visible characters, such as a UUID'
  throw new ProblemError('invalid_request', { errors: [{ field: 'Idempotency-Key', remedy }] })
}
