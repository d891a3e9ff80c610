import { type Static, Type } from 'typebox'
import type { App } from '../../app.ts'
import { exchangeCaller } from '../../callers/exchange-caller.ts'
import { bodyProblems, keyProblems, tokenProblems } from '../../openapi/route-docs.ts'
import { bearerOf } from '../../plugins/api-key.ts'
import { answeredCredential } from '../credential-answer.ts'
import type { ExchangeRouteOptions } from '../exchange-token.ts'
import { watchExchange } from '../exchange-watch.ts'
import { connections, organizationId, token, ttl } from '../request-fields.ts'
import { hosted } from '../../faces/hosted.ts'
import { v2TokenAnswer, V2TokenAnswer } from './token-answer.ts'

/** What it does not know it passes over, as the hosted product does. */
const ExchangeBody = Type.Object({
  organization_id: Type.Optional(organizationId),
  token,
  integration_id: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 253,
      description: 'Name of the IdentityProvider; otherwise the one whose issuer the token names.',
    }),
  ),
  provider: Type.Optional(Type.String({ description: 'Its type is found by itself; passed over.' })),
  ttl: Type.Optional(ttl),
  connections: Type.Optional(connections),
})

export function v2ExchangeTokenRoute(app: App, options: ExchangeRouteOptions): void {
  app.post(
    '/v2/tokens/exchange',
    {
      schema: { body: ExchangeBody, response: { 200: V2TokenAnswer } },
      config: {
        face: hosted,
        refusal: 'credential.refused',
        docs: {
          tag: 'Hosted',
          summary: 'Exchange an identity token',
          description:
            'Without an API key only where the organization opened that to the caller’s origin. Answers with the names of the product’s documentation and of its client.',
          caller: 'anybodyOrApiKey',
          problems: [
            ...keyProblems,
            ...bodyProblems,
            ...tokenProblems,
            'organization_not_found',
            'ttl_out_of_range',
          ],
          example: { organization_id: 'org_k7xm4pqr2n5t', token: 'eyJhbGciOiJFUzI1NiIs...' },
        },
      },
    },
    async (request, reply): Promise<Static<typeof V2TokenAnswer>> => {
      const { headers, body } = request
      const claim = {
        secret: headers.authorization === undefined ? undefined : bearerOf(request),
        organization: body.organization_id,
      }
      const caller = await exchangeCaller(options.identities, claim, request, reply)
      const exchange = await watchExchange(options, request, caller, {
        token: body.token,
        provider: body.integration_id,
        byIssuer: true,
        ttlSeconds: body.ttl,
        clientId: undefined,
        connections: body.connections,
      })
      const credential = answeredCredential(exchange, exchange.ttlSeconds)
      const { attributes } = exchange.issued
      return v2TokenAnswer(credential, caller.organization, attributes, exchange.record.type)
    },
  )
}
