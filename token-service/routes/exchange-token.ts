import { type Static, Type } from 'typebox'
import { errorFields, type Log } from '#core/process/logger.ts'
import type { ProviderRecord } from '#core/identity/provider-record.ts'
import type { App } from '../app.ts'
import { type Exchange, type ExchangeDependencies, exchangeIdentity } from '../exchange-identity.ts'
import type { TokenServiceMetrics } from '../metrics.ts'
import { requireApiKey } from '../plugins/api-key.ts'
import { problemOf } from '../problem-of.ts'
import { ProblemError } from '../problems.ts'

export interface Endpoints {
  readonly mqtts?: string
  readonly wss?: string
}

export interface ExchangeRouteOptions extends ExchangeDependencies {
  readonly metrics: TokenServiceMetrics
  readonly log: Log
  readonly endpoints: Endpoints
}

const ExchangeBody = Type.Object(
  {
    provider: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 253,
        description: 'Name of the IdentityProvider; may be left out where there is only one.',
      }),
    ),
    token: Type.String({ minLength: 1, description: 'The identity token that the provider issued.' }),
    ttl: Type.Optional(Type.Integer({ description: 'Life of the credential in seconds.' })),
    client_id: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 256,
        pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f]*$',
        description: 'The only MQTT client id that the credential may connect with.',
      }),
    ),
  },
  { additionalProperties: false },
)

const ExchangeAnswer = Type.Object({
  id: Type.String({ description: 'By which the credential is revoked.' }),
  username: Type.String(),
  password: Type.String({ description: 'Shown once.' }),
  expires_at: Type.String({ description: 'RFC 3339, UTC.' }),
  expires_in: Type.Integer({ description: 'Seconds; needs no right clock.' }),
  refresh_recommended_at: Type.String({ description: 'A tenth of the life before its end.' }),
  organization: Type.String(),
  provider: Type.String(),
  user_id: Type.String({ description: 'The subject of the identity token.' }),
  endpoints: Type.Optional(
    Type.Object({ mqtts: Type.Optional(Type.String()), wss: Type.Optional(Type.String()) }),
  ),
})
type ExchangeAnswer = Static<typeof ExchangeAnswer>

export function exchangeTokenRoute(app: App, options: ExchangeRouteOptions): void {
  const { metrics, log, endpoints } = options
  app.post(
    '/v1/token/exchange',
    {
      schema: { body: ExchangeBody, response: { 200: ExchangeAnswer } },
      onRequest: requireApiKey(options.identities, 'exchange'),
    },
    async ({ body, caller }): Promise<ExchangeAnswer> => {
      if (caller === null) throw new ProblemError('invalid_api_key')
      const started = performance.now()
      let chosen: { readonly name: string; readonly record: ProviderRecord } | undefined
      const finish = (outcome: Parameters<TokenServiceMetrics['exchanged']>[1]): void =>
        metrics.exchanged(chosen?.record.type ?? 'none', outcome, (performance.now() - started) / 1000)
      try {
        const exchange = await exchangeIdentity(options, caller, {
          token: body.token,
          provider: body.provider,
          ttlSeconds: body.ttl,
          clientId: body.client_id,
          onProvider: (name, record) => (chosen = { name, record }),
        })
        finish('issued')
        return answerOf(exchange, caller.organization, endpoints)
      } catch (error) {
        const { code } = problemOf(error)
        finish(code)
        const { organization, name: apiKey } = caller
        log.info(
          { organization, apiKey, provider: chosen?.name, outcome: code, ...errorFields(error) },
          'an exchange was refused',
        )
        throw error
      }
    },
  )
}

function answerOf(exchange: Exchange, organization: string, endpoints: Endpoints): ExchangeAnswer {
  const { issuedAt, expiresAt } = exchange.issued
  const isReachable = endpoints.mqtts !== undefined || endpoints.wss !== undefined
  return {
    id: exchange.id,
    username: exchange.username,
    password: exchange.password,
    expires_at: new Date(expiresAt).toISOString(),
    expires_in: exchange.ttlSeconds,
    refresh_recommended_at: new Date(expiresAt - (expiresAt - issuedAt) / 10).toISOString(),
    organization,
    provider: exchange.provider,
    user_id: exchange.identity.subject,
    ...(isReachable ? { endpoints } : {}),
  }
}
