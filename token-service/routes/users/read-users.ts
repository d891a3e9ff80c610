import { type Static, Type } from 'typebox'
import { localPartOf } from '#core/resources/mqtt-user.ts'
import type { App } from '../../app.ts'
import { requireApiKey } from '../../plugins/api-key.ts'
import { closed } from '../request-fields.ts'
import { localNameOf, UserAnswer, userAnswerOf, UserParams } from './user-fields.ts'
import { userProblems, usersDocs, usersOf, usersProblems, type UsersRouteOptions } from './users-route.ts'

const defaultLimit = 50

const UsersQuery = Type.Object(
  {
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 200, description: `Of one page; ${defaultLimit} by default.` }),
    ),
    cursor: Type.Optional(
      Type.String({ pattern: '^[A-Za-z0-9_-]{1,2048}$', description: 'next of the page before.' }),
    ),
  },
  closed,
)
const UsersAnswer = Type.Object({
  users: Type.Array(UserAnswer),
  next: Type.Optional(
    Type.String({
      description:
        'cursor of the next page; absent on the last one. A page may hold fewer users than asked for.',
    }),
  ),
})

export function readUsersRoutes(app: App, options: UsersRouteOptions): void {
  const onRequest = requireApiKey(options.identities, 'users:write')
  app.get(
    '/v1/users',
    {
      schema: { querystring: UsersQuery, response: { 200: UsersAnswer } },
      onRequest,
      config: {
        docs: {
          ...usersDocs,
          summary: 'List users',
          description:
            'Those that were made here, and not those that somebody has declared. A key with access lists sees the ' +
            'users under exactly these lists.',
          problems: [...usersProblems, 'invalid_request'],
        },
      },
    },
    async (request): Promise<Static<typeof UsersAnswer>> => {
      const { users, caller } = await usersOf(options, request)
      const { limit = defaultLimit, cursor } = request.query
      const page = await users.list(caller, limit, cursor)
      const inForce = await users.inForce(caller.organization, page.users)
      return {
        users: page.users.map((user) =>
          userAnswerOf(user, caller.organization, inForce.has(localPartOf(user))),
        ),
        ...(page.next === undefined ? {} : { next: page.next }),
      }
    },
  )
  app.get(
    '/v1/users/:username',
    {
      schema: { params: UserParams, response: { 200: UserAnswer } },
      onRequest,
      config: { docs: { ...usersDocs, summary: 'Show a user', problems: userProblems } },
    },
    async (request): Promise<Static<typeof UserAnswer>> => {
      const { users, caller } = await usersOf(options, request)
      const user = await users.find(caller, localNameOf(request.params.username, caller.organization))
      const inForce = await users.inForce(caller.organization, [user])
      return userAnswerOf(user, caller.organization, inForce.size > 0)
    },
  )
}
