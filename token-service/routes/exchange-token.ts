import { type Static, Type } from 'typebox'
import type { App } from '../app.ts'
import type { ExchangeDependencies } from '../issuing/exchange-identity.ts'
import { bodyProblems, keyProblems, tokenProblems } from '../openapi/route-docs.ts'
import { requireApiKey } from '../plugins/api-key.ts'
import { ProblemError } from '../problems.ts'
import { answeredCredential, answerOf, credentialAnswer, type Endpoints } from './credential-answer.ts'
import { type ExchangeWatch, watchExchange } from './exchange-watch.ts'
import { clientId, connections, narrowingOf, permissions, provider, token, ttl } from './request-fields.ts'

export interface ExchangeRouteOptions extends ExchangeDependencies, ExchangeWatch {
  readonly endpoints: Endpoints
}

const ExchangeBody = Type.Object(
  {
    provider: Type.Optional(provider),
    token,
    ttl: Type.Optional(ttl),
    client_id: Type.Optional(clientId),
    connections: Type.Optional(connections),
    permissions: Type.Optional(permissions),
    replace_existing: Type.Optional(
      Type.Boolean({ description: 'Ends the other credentials of the same person; false by default.' }),
    ),
  },
  { additionalProperties: false },
)

const ExchangeAnswer = Type.Object({
  ...credentialAnswer,
  provider: Type.String(),
  user_id: Type.String({ description: 'The subject of the identity token.' }),
})

export function exchangeTokenRoute(app: App, options: ExchangeRouteOptions): void {
  app.post(
    '/v1/token/exchange',
    {
      schema: { body: ExchangeBody, response: { 200: ExchangeAnswer } },
      onRequest: requireApiKey(options.identities, 'exchange'),
      config: {
        refusal: 'credential.refused',
        docs: {
          tag: 'Tokens',
          summary: 'Exchange an identity token for an MQTT credential',
          description:
            'Each exchange gives a credential of its own; those of the same person live side by side up to a limit, where the one that would end first makes room.',
          caller: 'apiKey',
          problems: [
            ...keyProblems,
            ...bodyProblems,
            ...tokenProblems,
            'provider_required',
            'ttl_out_of_range',
          ],
          example: { provider: 'supabase', token: 'eyJhbGciOiJFUzI1NiIs...', ttl: 3600 },
        },
      },
    },
    async (request): Promise<Static<typeof ExchangeAnswer>> => {
      const { body, caller } = request
      if (caller === null) throw new ProblemError('invalid_api_key')
      const exchange = await watchExchange(options, request, caller, {
        token: body.token,
        provider: body.provider,
        ttlSeconds: body.ttl,
        clientId: body.client_id,
        connections: body.connections,
        narrowing: narrowingOf(body.permissions),
        replace: body.replace_existing === true,
      })
      return {
        ...answerOf(
          answeredCredential(exchange, exchange.ttlSeconds),
          caller.organization,
          options.endpoints,
        ),
        provider: exchange.provider,
        user_id: exchange.identity.subject,
      }
    },
  )
}
