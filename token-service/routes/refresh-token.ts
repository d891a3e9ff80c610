import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { parseUsername } from '#core/credentials/username.ts'
import { errorFields, type Log } from '#core/process/logger.ts'
import type { App } from '../app.ts'
import {
  type Renewal,
  type RenewalDependencies,
  type RenewalRequest,
  renewCredential,
} from '../issuing/renew-credential.ts'
import type { TokenServiceMetrics } from '../metrics.ts'
import { bodyProblems } from '../openapi/route-docs.ts'
import { allowOriginOf } from '../plugins/cross-origin.ts'
import { problemOf } from '../problem-of.ts'
import { answerOf, credentialAnswer, type Endpoints } from './credential-answer.ts'
import { closed, ttl } from './request-fields.ts'

export interface RefreshRouteOptions extends RenewalDependencies {
  readonly metrics: TokenServiceMetrics
  readonly log: Log
  readonly endpoints: Endpoints
}

const RefreshParams = Type.Object({
  id: Type.String({ description: 'The id or the username of the credential.' }),
})
const RefreshBody = Type.Object(
  {
    password: Type.String({ minLength: 1, description: 'The current password of the credential.' }),
    organization: Type.Optional(
      Type.String({ maxLength: 64, description: 'The organization; needed where the path has the id only.' }),
    ),
    ttl: Type.Optional(ttl),
  },
  closed,
)
const RefreshAnswer = Type.Object(credentialAnswer)

export function refreshTokenRoute(app: App, options: RefreshRouteOptions): void {
  app.post(
    '/v1/tokens/:id/refresh',
    {
      schema: { params: RefreshParams, body: RefreshBody, response: { 200: RefreshAnswer } },
      config: {
        docs: {
          tag: 'Tokens',
          summary: 'Renew a credential by its own password',
          description:
            'It lives on under the same name and password, and its connections stay open; never longer than the organization’s credentials.maxLifetime from its first issue.',
          caller: 'body',
          problems: [
            ...bodyProblems,
            'invalid_credential',
            'organization_suspended',
            'renewal_not_possible',
            'ttl_out_of_range',
          ],
          example: { organization: 'org_k7xm4pqr2n5t', password: 'cs_mp_...' },
        },
      },
    },
    async (request, reply): Promise<Static<typeof RefreshAnswer>> => {
      const { params, body } = request
      const { id } = params
      const username = id.includes('@') ? id : `${id}@${body.organization ?? ''}`
      const asked = { username: parseUsername(username), password: body.password, ttlSeconds: body.ttl }
      const renewal = await watchRenewal(options, asked, request, reply)
      const { expiresAt } = renewal.renewed
      return answerOf({ ...renewal, expiresAt }, renewal.organization, options.endpoints)
    },
  )
}

/** Counted, and logged where it is refused: also for the other face that renews. */
export async function watchRenewal(
  options: RefreshRouteOptions,
  asked: RenewalRequest,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<Renewal> {
  const { metrics, log, identities } = options
  const { organization } = asked.username ?? {}
  try {
    await request.server.limits.ofAddress(request.ip, reply)
    await allowOriginOf(organization, request.headers.origin, identities, reply)
    const renewal = await renewCredential(options, asked)
    metrics.renewed('renewed')
    return renewal
  } catch (error) {
    const { code } = problemOf(error)
    metrics.renewed(code)
    log.info({ organization, outcome: code, ...errorFields(error) }, 'a renewal was refused')
    throw error
  }
}
