import { Type } from 'typebox'
import { userPrincipal } from '#core/identity/principal.ts'
import type { App } from '../../app.ts'
import { auditedFields } from '../../audit/audited-request.ts'
import { requireApiKey } from '../../plugins/api-key.ts'
import { localNameOf, UserParams } from './user-fields.ts'
import {
  changeProblems,
  inForceText,
  tellUnconfirmed,
  usersDocs,
  usersOf,
  type UsersRouteOptions,
} from './users-route.ts'

export function deleteUserRoute(app: App, options: UsersRouteOptions): void {
  const { identities, audit } = options
  app.delete(
    '/v1/users/:username',
    {
      schema: {
        params: UserParams,
        response: {
          202: Type.Null({ description: 'It is written; the user can connect no more soon.' }),
          204: Type.Null({ description: 'It is gone, and so are its connections.' }),
        },
      },
      onRequest: requireApiKey(identities, 'users:write'),
      config: {
        docs: {
          ...usersDocs,
          summary: 'Delete a user',
          description: inForceText,
          problems: [...changeProblems, 'malformed_json', 'payload_too_large', 'unsupported_media_type'],
        },
      },
    },
    async (request, reply) => {
      const { users, caller } = await usersOf(options, request)
      const name = localNameOf(request.params.username, caller.organization)
      const removed = await users.remove(caller, name)
      audit.record({ event: 'user.deleted', ...auditedFields(request), principal: userPrincipal(name) })
      tellUnconfirmed(reply, removed)
      return reply.code(removed.isInForce ? 204 : 202).send(null)
    },
  )
}
