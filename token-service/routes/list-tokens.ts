import { type Static, Type } from 'typebox'
import { credentialKinds } from '#core/credentials/credential-record.ts'
import { formatUsername } from '#core/credentials/username.ts'
import { AttributesSchema } from '#core/identity/attributes.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { CredentialPosition, CredentialStore, ListedCredential } from '#core/stores/credential-store.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import type { App } from '../app.ts'
import { organizationOf } from '../organization-of.ts'
import { keyProblems } from '../openapi/route-docs.ts'
import { requireApiKey } from '../plugins/api-key.ts'
import { ProblemError } from '../problems.ts'
import { actorOf, Actors } from './actor.ts'
import { principal, principalsNamed, userId } from './named-principals.ts'
import { closed } from './request-fields.ts'

export interface ListRouteOptions {
  readonly identities: IdentityReader
  readonly credentials: CredentialStore
}

const defaultLimit = 50

const ListQuery = Type.Object(
  {
    kind: Type.Optional(Type.Enum(credentialKinds)),
    principal: Type.Optional(principal),
    user_id: Type.Optional(userId),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 200, description: `Of one page; ${defaultLimit} by default.` }),
    ),
    cursor: Type.Optional(
      Type.String({
        pattern: '^[0-9]{1,15}\\.tmp_[A-Za-z0-9._-]{1,60}$',
        description: 'next of the page before.',
      }),
    ),
  },
  closed,
)

const ListedToken = Type.Object({
  id: Type.String(),
  username: Type.String(),
  kind: Type.String(),
  principal: Type.String({
    description: 'Who it is; the same for each credential of one person, agent or worker.',
  }),
  attributes: AttributesSchema,
  issued_at: Type.String({ format: 'date-time' }),
  expires_at: Type.String({ format: 'date-time' }),
  provider: Type.Optional(Type.String()),
  api_key: Type.Optional(Type.String({ description: 'Name of the ApiKey that asked for it.' })),
  client_id: Type.Optional(Type.String()),
  connections: Type.Optional(Type.Integer()),
  act: Type.Optional(Actors),
})
const ListAnswer = Type.Object({
  tokens: Type.Array(ListedToken, { description: 'Those that end first first.' }),
  next: Type.Optional(Type.String({ description: 'cursor of the next page; absent on the last one.' })),
})

export function listTokensRoute(app: App, { identities, credentials }: ListRouteOptions): void {
  app.get(
    '/v1/tokens',
    {
      schema: { querystring: ListQuery, response: { 200: ListAnswer } },
      onRequest: requireApiKey(identities, 'revoke'),
      config: {
        docs: {
          tag: 'Tokens',
          summary: 'List live credentials',
          description: 'By a key with the scope revoke. Passwords are not in it: nobody has them.',
          caller: 'apiKey',
          problems: [...keyProblems, 'invalid_request'],
        },
      },
    },
    async ({ query, caller }): Promise<Static<typeof ListAnswer>> => {
      if (caller === null) throw new ProblemError('invalid_api_key')
      await organizationOf(identities, caller)
      const { kind, limit = defaultLimit, cursor } = query
      const principals = await principalsNamed(identities, caller.organization, query)
      const page = await credentials.list(caller.organization, {
        limit,
        ...(kind === undefined ? {} : { kind }),
        ...(principals === undefined ? {} : { principals }),
        ...(cursor === undefined ? {} : { after: positionOf(cursor) }),
      })
      return {
        tokens: page.credentials.map((credential) => listed(credential, caller.organization)),
        ...(page.next === undefined ? {} : { next: `${page.next.expiresAt}.${page.next.local}` }),
      }
    },
  )
}

function positionOf(cursor: string): CredentialPosition {
  const dot = cursor.indexOf('.')
  return { expiresAt: Number(cursor.slice(0, dot)), local: cursor.slice(dot + 1) }
}

function listed(one: ListedCredential, organization: OrganizationId): Static<typeof ListedToken> {
  return {
    id: one.local,
    username: formatUsername({ local: one.local, organization }),
    kind: one.kind,
    principal: one.principal,
    attributes: one.attributes,
    issued_at: new Date(one.issuedAt).toISOString(),
    expires_at: new Date(one.expiresAt).toISOString(),
    ...(one.provider === undefined ? {} : { provider: one.provider }),
    ...(one.apiKey === undefined ? {} : { api_key: one.apiKey }),
    ...(one.clientId === undefined ? {} : { client_id: one.clientId }),
    ...(one.connections === undefined ? {} : { connections: one.connections }),
    ...(one.actors === undefined ? {} : { act: actorOf(one.actors) }),
  }
}
