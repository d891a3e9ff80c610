import type { FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import type { App } from '../app.ts'
import { auditedFields, noteCredential, timeOf } from '../audit/audited-request.ts'
import type { Caller } from '../callers/caller.ts'
import { createToken, type CreatedToken } from '../issuing/create-token.ts'
import type { TokenRequest } from '../issuing/token-request.ts'
import { bodyProblems, keyProblems, tokenProblems } from '../openapi/route-docs.ts'
import { requireApiKey } from '../plugins/api-key.ts'
import { problemOf } from '../problem-of.ts'
import { ProblemError } from '../problems.ts'
import { actorOf, Actors, actorsOf, EarlierActors } from './actor.ts'
import { answeredCredential, answerOf, credentialAnswer } from './credential-answer.ts'
import type { ExchangeRouteOptions } from './exchange-token.ts'
import {
  agentId,
  clientId,
  closed,
  connections,
  narrowingOf,
  permissions,
  provider,
  token,
  ttl,
} from './request-fields.ts'

const common = {
  ttl: Type.Optional(ttl),
  client_id: Type.Optional(clientId),
  connections: Type.Optional(connections),
  attributes: Type.Optional(
    Type.Record(
      Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_-]{0,63}$' }),
      Type.String({ maxLength: 512, pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f]*$' }),
      {
        ...closed,
        description:
          'Identity variables that the API key permits: email, session_id and user_id under their own names, any other as {claims.<name>}.',
      },
    ),
  ),
  access_lists: Type.Optional(
    Type.Array(Type.String({ minLength: 1, maxLength: 253 }), {
      maxItems: 16,
      description:
        'Names of AccessLists. Without any: those of the person an agent acts for, otherwise the organization’s default.',
    }),
  ),
  permissions: Type.Optional(permissions),
}
const replaceExisting = Type.Boolean({
  description: 'Ends the other credentials of the same agent or worker; false by default.',
})

const AnonymousBody = Type.Object(
  { kind: Type.Literal('anonymous'), ...common },
  { ...closed, title: 'Anonymous', description: 'For somebody who has not signed in.' },
)
const AgentBody = Type.Object(
  {
    kind: Type.Literal('agent'),
    agent_id: agentId,
    on_behalf_of: Type.Optional(
      Type.Object(
        { token, provider: Type.Optional(provider) },
        { ...closed, description: 'The person that the agent acts for: it may then do no more than they.' },
      ),
    ),
    act: Type.Optional(EarlierActors),
    replace_existing: Type.Optional(replaceExisting),
    ...common,
  },
  { ...closed, title: 'Agent', description: 'For an agent, by itself or on behalf of a person.' },
)
const WorkerBody = Type.Object(
  {
    kind: Type.Literal('worker'),
    name: Type.String({
      pattern: '^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$',
      description: 'Which worker: its sessions are kept from one credential to the next.',
    }),
    replace_existing: Type.Optional(replaceExisting),
    ...common,
  },
  { ...closed, title: 'Worker', description: 'For a job or a service.' },
)
const CreateBody = Type.Union([AnonymousBody, AgentBody, WorkerBody])

const CreateAnswer = Type.Object({
  ...credentialAnswer,
  kind: Type.String(),
  agent_id: Type.Optional(Type.String()),
  name: Type.Optional(Type.String()),
  act: Type.Optional(Actors),
})

export function createTokenRoute(app: App, options: ExchangeRouteOptions): void {
  app.post(
    '/v1/tokens',
    {
      schema: { body: CreateBody, response: { 201: CreateAnswer } },
      onRequest: requireApiKey(options.identities, 'tokens:create', 'exchange'),
      config: {
        refusal: 'credential.refused',
        docs: {
          tag: 'Tokens',
          summary: 'Issue a credential to an agent, a worker or an anonymous visitor',
          description:
            'By a secret key with the scope tokens:create; for anonymous visitors also by a publishable key, where the organization allows it.',
          caller: 'apiKey',
          problems: [
            ...keyProblems,
            ...bodyProblems,
            ...tokenProblems,
            'access_list_not_allowed',
            'access_list_not_found',
            'agent_id_not_allowed',
            'anonymous_not_allowed',
            'attribute_not_allowed',
            'provider_required',
            'ttl_out_of_range',
          ],
          example: { kind: 'agent', agent_id: 'planner-1', access_lists: ['agents'], ttl: 900 },
        },
      },
    },
    async (request, reply) => {
      const { body, caller } = request
      if (caller === null) throw new ProblemError('invalid_api_key')
      const created = await watchCreation(options, request, caller, requestOf(body))
      const { kind, attributes, actors } = created.issued
      const answer: Static<typeof CreateAnswer> = {
        ...answerOf(answeredCredential(created, created.ttlSeconds), caller.organization, options.endpoints),
        kind,
        ...(attributes['agent_id'] === undefined ? {} : { agent_id: attributes['agent_id'] }),
        ...(body.kind === 'worker' ? { name: body.name } : {}),
        ...(actors === undefined ? {} : { act: actorOf(actors) }),
      }
      return reply.code(201).send(answer)
    },
  )
}

function requestOf(body: Static<typeof CreateBody>): TokenRequest {
  return {
    kind: body.kind,
    ttlSeconds: body.ttl,
    clientId: body.client_id,
    connections: body.connections,
    attributes: body.attributes,
    lists: body.access_lists,
    narrowing: narrowingOf(body.permissions),
    ...(body.kind === 'worker' ? { name: body.name, replace: body.replace_existing } : {}),
    ...(body.kind === 'agent' ? agentRequest(body) : {}),
  }
}

function agentRequest(body: Static<typeof AgentBody>): Partial<TokenRequest> {
  const { agent_id: name, on_behalf_of: person, act, replace_existing: replace } = body
  return {
    name,
    replace,
    actors: act === undefined ? [] : actorsOf(act),
    ...(person === undefined ? {} : { onBehalfOf: { token: person.token, provider: person.provider } }),
  }
}

/** Counted and written down: also for the other faces that create. */
export async function watchCreation(
  options: ExchangeRouteOptions,
  request: FastifyRequest,
  caller: Caller,
  asked: TokenRequest,
): Promise<CreatedToken> {
  const { metrics, audit } = options
  const { kind } = asked
  request.audited.kind = kind
  try {
    const created = await createToken(options, caller, asked)
    metrics.created(kind, 'issued')
    const { id, issued } = created
    noteCredential(request, id, issued)
    audit.record({
      event: 'credential.issued',
      ...auditedFields(request),
      expiresAt: timeOf(issued.expiresAt),
    })
    return created
  } catch (error) {
    metrics.created(kind, problemOf(error).code)
    throw error
  }
}
