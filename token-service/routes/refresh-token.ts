import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import type { Audit } from '#core/audit/audit.ts'
import type { IssuedCredential } from '#core/credentials/credential-record.ts'
import { parseUsername, type Username } from '#core/credentials/username.ts'
import type { App } from '../app.ts'
import { auditedFields, noteCredential, timeOf } from '../audit/audited-request.ts'
import {
  type Renewal,
  type RenewalDependencies,
  type RenewalProof,
  type RenewalRequest,
  renewCredential,
} from '../issuing/renew-credential.ts'
import { checkApiKey } from '../callers/api-key-caller.ts'
import { countedCaller } from '../callers/counted-caller.ts'
import type { TokenServiceMetrics } from '../metrics.ts'
import { bodyProblems, keyProblems, tokenProblems } from '../openapi/route-docs.ts'
import { bearerOf } from '../plugins/api-key.ts'
import { allowOriginOf } from '../plugins/cross-origin.ts'
import { ProblemError } from '../problems.ts'
import { problemOf } from '../problem-of.ts'
import { answerOf, credentialAnswer, type Endpoints } from './credential-answer.ts'
import { closed, ttl } from './request-fields.ts'

export interface RefreshRouteOptions extends RenewalDependencies {
  readonly metrics: TokenServiceMetrics
  readonly audit: Audit
  readonly endpoints: Endpoints
}

const RefreshParams = Type.Object({
  id: Type.String({ description: 'The id or the username of the credential.' }),
})
const RefreshBody = Type.Object(
  {
    password: Type.Optional(
      Type.String({ minLength: 1, description: 'The current password of the credential: needs no API key.' }),
    ),
    token: Type.Optional(
      Type.String({
        minLength: 1,
        description:
          'A new identity token of the same person, with an API key of the scope exchange. Without it and without a password, the API key (scope tokens:create) that issued the credential is the proof.',
      }),
    ),
    organization: Type.Optional(
      Type.String({ maxLength: 64, description: 'The organization; needed where the path has the id only.' }),
    ),
    ttl: Type.Optional(ttl),
  },
  closed,
)
const { password: shown, ...others } = credentialAnswer
const RefreshAnswer = Type.Object({
  ...others,
  password: Type.Optional(
    Type.String({
      ...shown,
      description: 'The MQTT password, where the request brought it. It stays the same.',
    }),
  ),
})

export function refreshTokenRoute(app: App, options: RefreshRouteOptions): void {
  app.post(
    '/v1/tokens/:id/refresh',
    {
      schema: { params: RefreshParams, body: RefreshBody, response: { 200: RefreshAnswer } },
      config: {
        refusal: 'credential.renewal-refused',
        docs: {
          tag: 'Tokens',
          summary: 'Renew a credential',
          description:
            'It lives on under the same name and password, and its connections stay open. By its own password never longer than the organization’s credentials.maxLifetime from its first issue; with a fresh proof, an identity token or an API key, as long as that is given. Attributes are then those of the new identity token.',
          caller: 'anybodyOrApiKey',
          problems: [
            ...keyProblems,
            ...bodyProblems,
            ...tokenProblems,
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
      const { password, token } = body
      if (password !== undefined && token !== undefined) {
        const remedy = 'give the password of the credential, or an identity token and an API key'
        throw new ProblemError('invalid_request', { errors: [{ field: 'token', remedy }] })
      }
      const proof = async (): Promise<RenewalProof> =>
        password === undefined ? freshProof(options, token, request, reply) : { password }
      const asked = { username: parseUsername(username), proof, ttlSeconds: body.ttl }
      const renewal = await watchRenewal(options, asked, request, reply)
      const { expiresAt } = renewal.renewed
      const answer = answerOf(
        { ...renewal, password: password ?? '', expiresAt },
        renewal.organization,
        options.endpoints,
      )
      if (password !== undefined) return answer
      const { password: _, ...unspoken } = answer
      return unspoken
    },
  )
}

/** Counted and written down: also for the other face that renews. */
export async function watchRenewal(
  options: RefreshRouteOptions,
  asked: Omit<RenewalRequest, 'proof'> & { readonly proof: () => Promise<RenewalProof> },
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<Renewal> {
  const { metrics, audit, identities } = options
  const { organization } = asked.username ?? {}
  try {
    const proof = await asked.proof()
    if ('password' in proof) {
      await request.server.limits.ofAddress(request.ip, reply)
      await allowOriginOf(organization, request.headers.origin, identities, reply)
    }
    const onFound = ({ organization, local }: Username, former: IssuedCredential): void => {
      request.audited.organization = organization
      noteCredential(request, local, former)
    }
    const renewal = await renewCredential(options, { ...asked, proof, onFound })
    metrics.renewed('renewed')
    audit.record({
      event: 'credential.renewed',
      ...auditedFields(request),
      expiresAt: timeOf(renewal.renewed.expiresAt),
    })
    return renewal
  } catch (error) {
    metrics.renewed(problemOf(error).code)
    throw error
  }
}

/** An API key, and whatever else there is: a key of the scope that would issue the credential anew. */
async function freshProof(
  { identities }: RefreshRouteOptions,
  token: string | undefined,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<RenewalProof> {
  const caller = await countedCaller(identities, bearerOf(request), request, reply)
  checkApiKey(caller, [token === undefined ? 'tokens:create' : 'exchange'], request, reply)
  return { caller, token }
}
