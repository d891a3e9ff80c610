import { Type } from 'typebox'
import { userPrincipal } from '#core/identity/principal.ts'
import type { App } from '../../app.ts'
import { auditedFields } from '../../audit/audited-request.ts'
import { bodyProblems } from '../../openapi/route-docs.ts'
import { requireApiKey } from '../../plugins/api-key.ts'
import { closed } from '../request-fields.ts'
import { localNameOf, UserAnswer, userAnswerOf, UserParams, wantedFields, wantedOf } from './user-fields.ts'
import {
  changeAnswers,
  changeProblems,
  inForceText,
  tellUnconfirmed,
  usersDocs,
  usersOf,
  type UsersRouteOptions,
} from './users-route.ts'

const ChangeUserBody = Type.Object(wantedFields, { ...closed, minProperties: 1 })

export function changeUserRoute(app: App, options: UsersRouteOptions): void {
  const { identities, audit } = options
  app.patch(
    '/v1/users/:username',
    {
      schema: {
        params: UserParams,
        body: ChangeUserBody,
        response: changeAnswers(UserAnswer),
      },
      onRequest: requireApiKey(identities, 'users:write'),
      config: {
        docs: {
          ...usersDocs,
          summary: 'Change a user',
          description: `Fields that are given take the place of what was there; an empty list takes it away. ${inForceText}`,
          problems: [...changeProblems, ...bodyProblems, 'access_list_not_found'],
          example: { suspended: true },
        },
      },
    },
    async (request, reply) => {
      const { users, caller } = await usersOf(options, request)
      const name = localNameOf(request.params.username, caller.organization)
      const changed = await users.change(caller, name, wantedOf(request.body))
      audit.record({
        event: 'user.changed',
        ...auditedFields(request),
        principal: userPrincipal(name),
        fields: Object.keys(request.body).toSorted(),
      })
      tellUnconfirmed(reply, changed)
      return reply
        .code(changed.isInForce ? 200 : 202)
        .send(userAnswerOf(changed.user, caller.organization, changed.isInForce))
    },
  )
}
