import { Type } from 'typebox'
import { userPrincipal } from '#core/identity/principal.ts'
import type { App } from '../../app.ts'
import { auditedFields } from '../../audit/audited-request.ts'
import { bodyProblems } from '../../openapi/route-docs.ts'
import { requireApiKey } from '../../plugins/api-key.ts'
import { closed } from '../request-fields.ts'
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

const longestOverlap = 30 * 24 * 3_600

const RotateBody = Type.Object(
  {
    overlap: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: longestOverlap,
        description: 'For so many seconds the former password lets in as well; 0 by default.',
      }),
    ),
  },
  closed,
)
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
        body: RotateBody,
        response: changeAnswers(RotatedAnswer),
      },
      onRequest: requireApiKey(identities, 'users:write'),
      // It need not have a body.
      preValidation: async (request) => {
        request.body ??= {}
      },
      config: {
        docs: {
          ...usersDocs,
          summary: 'Give a user another password',
          description:
            'The former one is worth nothing from then on, and its connections are closed; with overlap, once that is over. ' +
            `Of several former ones only the last has an overlap. ${inForceText}`,
          problems: [...changeProblems, ...bodyProblems],
          example: { overlap: 600 },
          isBodyOptional: true,
        },
      },
    },
    async (request, reply) => {
      const { users, caller } = await usersOf(options, request)
      const name = localNameOf(request.params.username, caller.organization)
      const rotated = await users.rotate(caller, name, request.body.overlap ?? 0)
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
