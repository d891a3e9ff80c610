import { type Static, Type } from 'typebox'
import type { App } from '../../app.ts'
import { checkApiKey } from '../../callers/api-key-caller.ts'
import { countedCaller } from '../../callers/counted-caller.ts'
import { bodyProblems, keyProblems } from '../../openapi/route-docs.ts'
import { allowOriginOf } from '../../plugins/cross-origin.ts'
import { ProblemError } from '../../problems.ts'
import { watchCreation } from '../create-token.ts'
import { answeredCredential } from '../credential-answer.ts'
import type { ExchangeRouteOptions } from '../exchange-token.ts'
import { connections, organizationId } from '../request-fields.ts'
import { hosted } from '../../faces/hosted.ts'
import { ownProvider, v2TokenAnswer, V2TokenAnswer } from './token-answer.ts'

const CreateBody = Type.Object({
  organization_id: organizationId,
  secret_key: Type.String({
    minLength: 1,
    description: 'A secret API key with the scope tokens:create that permits the attribute email.',
  }),
  user_email: Type.String({
    maxLength: 254,
    pattern: '^[^\\s@/\\u0000-\\u001f\\u007f]+@[^\\s@/\\u0000-\\u001f\\u007f]+$',
    description: 'Whom the key answers for; rules use it as {email}.',
  }),
  integration_id: Type.Optional(Type.String({ description: 'Passed over.' })),
  connections: Type.Optional(connections),
  replace_existing: Type.Optional(
    Type.Boolean({ description: 'Ends the other tokens of the same address; true by default.' }),
  ),
})

/** The hosted product's tokens without an identity provider: a worker that is named by an address. */
export function v2CreateTokenRoute(app: App, options: ExchangeRouteOptions): void {
  app.post(
    '/v2/tokens/create',
    {
      schema: { body: CreateBody, response: { 200: V2TokenAnswer } },
      config: {
        face: hosted,
        refusal: 'credential.refused',
        docs: {
          tag: 'Hosted',
          summary: 'Issue a token to an address',
          caller: 'body',
          problems: [...keyProblems, ...bodyProblems, 'attribute_not_allowed'],
          example: {
            organization_id: 'org_k7xm4pqr2n5t',
            secret_key: 'cs_sk_...',
            user_email: 'ada@example.com',
            replace_existing: true,
          },
        },
      },
    },
    async (request, reply): Promise<Static<typeof V2TokenAnswer>> => {
      const { organization_id, secret_key, user_email, replace_existing = true, connections } = request.body
      const caller = await countedCaller(options.identities, secret_key, request, reply)
      if (caller.organization !== organization_id)
        throw new ProblemError('invalid_api_key', { why: 'other-organization' })
      await allowOriginOf(caller.organization, request.headers.origin, options.identities, reply)
      checkApiKey(caller, ['tokens:create'], request, reply)
      const created = await watchCreation(options, request, caller, {
        kind: 'worker',
        name: user_email,
        attributes: { email: user_email },
        ttlSeconds: undefined,
        clientId: undefined,
        connections,
        replace: replace_existing,
      })
      const credential = answeredCredential(created, created.ttlSeconds)
      return v2TokenAnswer(credential, caller.organization, created.issued.attributes, ownProvider)
    },
  )
}
