import { type Static, Type } from 'typebox'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { App } from '../../app.ts'
import { exchangeCaller } from '../../callers/exchange-caller.ts'
import { bodyProblems, keyProblems, tokenProblems } from '../../openapi/route-docs.ts'
import { ProblemError } from '../../problems.ts'
import { answeredCredential, answerOf, type Endpoints } from '../credential-answer.ts'
import type { ExchangeRouteOptions } from '../exchange-token.ts'
import { watchExchange } from '../exchange-watch.ts'
import { mostConnections, token } from '../request-fields.ts'
import { clientOf } from './client.ts'
import { oauth } from '../../faces/oauth.ts'

const tokenExchange = 'urn:ietf:params:oauth:grant-type:token-exchange'
/** RFC 8693 §3: what an MQTT credential is called, as no registered name fits. */
const mqttCredential = 'urn:cloudsignal:params:oauth:token-type:mqtt-credential'
const subjectTypes = ['jwt', 'id_token', 'access_token'].map(
  (name) => `urn:ietf:params:oauth:token-type:${name}`,
)

const one = Type.String()
const oneOrMore = Type.Union([one, Type.Array(one)])
const TokenBody = Type.Object({
  grant_type: Type.String({ description: tokenExchange }),
  subject_token: token,
  subject_token_type: Type.Enum(subjectTypes, { description: 'All three are judged the same way.' }),
  requested_token_type: Type.Optional(Type.Literal(mqttCredential)),
  audience: Type.Optional({ ...oneOrMore, description: 'The organization’s id, if anything.' }),
  resource: Type.Optional({ ...oneOrMore, description: 'One of the endpoints of the broker, if anything.' }),
  scope: Type.Optional(Type.String({ description: 'Empty: credentials have no scopes.' })),
  connections: Type.Optional(
    Type.String({
      pattern: `^([1-9]\\d{0,3}|${mostConnections})$`,
      description: 'As in POST /v1/token/exchange: how many the person may have at a time.',
    }),
  ),
  actor_token: Type.Optional(Type.String({ description: 'Not taken: agents are issued for at /v1/tokens.' })),
  actor_token_type: Type.Optional(Type.String({ description: 'Only together with actor_token.' })),
  client_id: Type.Optional(Type.String({ description: 'The organization’s id.' })),
  client_secret: Type.Optional(
    Type.String({ description: 'An API key; better in the Authorization header.' }),
  ),
})

const TokenAnswer = Type.Object({
  access_token: Type.String({ description: 'The MQTT password.' }),
  issued_token_type: Type.Literal(mqttCredential),
  token_type: Type.Literal('N_A', { description: 'RFC 8693 §2.2.1: no access token, but a password.' }),
  expires_in: Type.Integer(),
  username: Type.String({ description: 'The MQTT username.' }),
  id: Type.String(),
  expires_at: Type.String({ format: 'date-time' }),
})

/** RFC 8693, OAuth 2.0 Token Exchange. */
export function oauthTokenRoute(app: App, options: ExchangeRouteOptions): void {
  app.post(
    '/oauth2/token',
    {
      config: {
        isForm: true,
        face: oauth,
        refusal: 'credential.refused',
        docs: {
          tag: 'OAuth',
          summary: 'Exchange an identity token as RFC 8693 says',
          description:
            'The client id is the organization’s id, its secret an API key; without one only where the organization opened that to the caller’s origin.',
          caller: 'client',
          problems: [
            ...keyProblems,
            ...bodyProblems,
            ...tokenProblems,
            'invalid_scope',
            'invalid_target',
            'organization_not_found',
            'unsupported_grant_type',
          ],
          example: {
            grant_type: tokenExchange,
            subject_token: 'eyJhbGciOiJFUzI1NiIs...',
            subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
          },
        },
      },
      schema: { body: TokenBody, response: { 200: TokenAnswer } },

      preValidation: async ({ body }) => checkGrantType(body),
    },
    async (request, reply): Promise<Static<typeof TokenAnswer>> => {
      const { body } = request
      const caller = await exchangeCaller(options.identities, clientOf(request, body), request, reply)
      checkTargets(body, caller.organization, options.endpoints)
      const exchange = await watchExchange(options, request, caller, {
        token: body.subject_token,
        provider: undefined,
        byIssuer: true,
        ttlSeconds: undefined,
        clientId: undefined,
        connections: body.connections === undefined ? undefined : Number(body.connections),
      })
      const credential = answeredCredential(exchange, exchange.ttlSeconds)
      const { password, ...answer } = answerOf(credential, caller.organization, {})
      reply.header('pragma', 'no-cache')
      return {
        access_token: password,
        issued_token_type: mqttCredential,
        token_type: 'N_A',
        expires_in: answer.expires_in,
        username: answer.username,
        id: answer.id,
        expires_at: answer.expires_at,
      }
    },
  )
}

/** Before the fields, which are those of one grant type. */
function checkGrantType(body: unknown): void {
  const { grant_type: given } = (body ?? {}) as { readonly grant_type?: unknown }
  if (given !== undefined && given !== tokenExchange) throw new ProblemError('unsupported_grant_type')
}

/** RFC 8693 §2.2.2: a target that the service is not willing to issue for. */
function checkTargets(
  { audience = [], resource = [], scope = '', actor_token, actor_token_type }: Static<typeof TokenBody>,
  organization: OrganizationId,
  endpoints: Endpoints,
): void {
  const isOurs =
    [audience].flat().every((each) => each === organization) &&
    [resource].flat().every((each) => Object.values(endpoints).includes(each))
  if (!isOurs) throw new ProblemError('invalid_target')
  if (scope.trim() !== '') throw new ProblemError('invalid_scope')
  const field = Object.entries({ actor_token, actor_token_type }).find(
    ([, given]) => given !== undefined,
  )?.[0]
  if (field === undefined) return
  const remedy = 'leave it out: credentials of agents are issued at /v1/tokens'
  throw new ProblemError('invalid_request', { errors: [{ field, remedy }] })
}
