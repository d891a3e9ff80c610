import { Type } from 'typebox'
import { userPrincipal } from '#core/identity/principal.ts'
import type { App } from '../../app.ts'
import { auditedFields } from '../../audit/audited-request.ts'
import { requireApiKey } from '../../plugins/api-key.ts'
import { localNameOf, userAnswer, userAnswerOf, UserParams } from './user-fields.ts'
import {
  changeAnswers,
  changeProblems,
  inForceText,
  tellUnconfirmed,
  usersDocs,
  usersOf,
  type UsersRouteOptions,
} from './users-route.ts'

const RotatedAnswer = Type.Object({
  ...userAnswer,
  password: Type.String({ description: 'The new MQTT password. Shown once.' }),
})

export function rotatePasswordRoute(app: App, options: UsersRouteOptions): void {
  const { identities, audit } = options
  app.post(
    '/v1/users/:username/password',
    {
      schema: {
        params: UserParams,
        response: changeAnswers(RotatedAnswer),
      },
      onRequest: requireApiKey(identities, 'users:write'),
      config: {
        docs: {
          ...usersDocs,
          summary: 'Give a user another password',
          description: `The former one is worth nothing from then on, and its connections are closed. ${inForceText}`,
          problems: [...changeProblems, 'malformed_json', 'payload_too_large', 'unsupported_media_type'],
        },
      },
    },
    async (request, reply) => {
      const { users, caller } = await usersOf(options, request)
      const name = localNameOf(request.params.username, caller.organization)
      const rotated = await users.rotate(caller, name)
      const principal = userPrincipal(name)
      audit.record({ event: 'user.password-rotated', ...auditedFields(request), principal })
      tellUnconfirmed(reply, rotated)
      return reply.code(rotated.isInForce ? 200 : 202).send({
        ...userAnswerOf(rotated.user, caller.organization, rotated.isInForce),
        password: rotated.password,
      })
    },
  )
}
