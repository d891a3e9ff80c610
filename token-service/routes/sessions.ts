import { type Static, Type } from 'typebox'
import type { Audit } from '#core/audit/audit.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { type ControlLogWitness, type ControlLogWriter, formatMoment } from '#core/stores/control-log.ts'
import type { CredentialStore } from '#core/stores/credential-store.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import type { SessionDirectory, SessionEntry } from '#core/stores/session-directory.ts'
import type { App } from '../app.ts'
import { auditedFields } from '../audit/audited-request.ts'
import { keyProblems } from '../openapi/route-docs.ts'
import { organizationOf } from '../organization-of.ts'
import { requireApiKey } from '../plugins/api-key.ts'
import { ProblemError } from '../problems.ts'
import { closed } from './request-fields.ts'
import { confirmWithinMs } from './revocations.ts'

export interface SessionsRouteOptions {
  readonly identities: IdentityReader
  readonly credentials: CredentialStore
  readonly sessions: SessionDirectory
  readonly control: ControlLogWitness & ControlLogWriter
  readonly audit: Audit
}

const defaultLimit = 50

const SessionsQuery = Type.Object(
  {
    principal: Type.Optional(
      Type.String({
        pattern: '^(user|sub|agent|worker|key|tmp):[^/]{1,300}$',
        description: 'Only of this one, such as user:sensor_01.',
      }),
    ),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 200, description: `Of one page; ${defaultLimit} by default.` }),
    ),
    cursor: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9_-]{1,2048}$',
        description: 'next of the page before.',
      }),
    ),
  },
  closed,
)

const SessionParams = Type.Object({
  id: Type.String({ description: 'As the list gives it.' }),
})

const time = Type.String({ format: 'date-time' })
const SessionAnswer = Type.Object({
  id: Type.String(),
  principal: Type.String({ description: 'Who it is: user:… for a permanent user.' }),
  client_id: Type.String(),
  connection: Type.Optional(
    Type.Object(
      {
        since: time,
        replica: Type.String({ description: 'Of the broker.' }),
        address: Type.Optional(Type.String()),
        listener: Type.Optional(Type.String({ description: 'mqtts, wss, mqtt or ws.' })),
        protocol: Type.Optional(Type.Enum(['3.1', '3.1.1', '5'])),
        credential: Type.Optional(Type.String({ description: 'Id of a temporary credential.' })),
        expires_at: Type.Optional(Type.String({ format: 'date-time', description: 'Of that credential.' })),
        subscriptions: Type.Optional(
          Type.Array(Type.String(), {
            description: 'Up to a hundred, where none are stored; as of a second ago.',
          }),
        ),
      },
      { description: 'Absent while the client is away.' },
    ),
  ),
  stored: Type.Optional(
    Type.Object(
      {
        subscriptions: Type.Array(Type.String()),
        queued: Type.Integer({ description: 'Messages above QoS 0 that wait or are under way.' }),
        ends_at: Type.Optional(
          Type.String({
            format: 'date-time',
            description: 'When it is forgotten, while the client is away.',
          }),
        ),
      },
      { description: 'What outlives the connection; absent where nothing does.' },
    ),
  ),
})
const SessionsAnswer = Type.Object({
  sessions: Type.Array(SessionAnswer),
  next: Type.Optional(Type.String({ description: 'cursor of the next page; absent on the last one.' })),
})
const EndedAnswer = Type.Object({
  ended_connections: Type.Integer({ minimum: 0 }),
  unconfirmed_replicas: Type.Array(Type.String(), {
    description: 'Replicas of the broker that have not said within a second that it is done.',
  }),
})

const docs = {
  tag: 'Sessions',
  caller: 'apiKey',
} as const

export function sessionsRoutes(app: App, options: SessionsRouteOptions): void {
  const { identities, sessions, control, audit } = options
  const onRequest = requireApiKey(identities, 'sessions')
  app.get(
    '/v1/sessions',
    {
      schema: { querystring: SessionsQuery, response: { 200: SessionsAnswer } },
      onRequest,
      config: {
        docs: {
          ...docs,
          summary: 'List sessions',
          description:
            'Clients that are connected, and clients that are away and have something kept for them.',
          problems: [...keyProblems, 'invalid_request'],
        },
      },
    },
    async ({ query, caller }): Promise<Static<typeof SessionsAnswer>> => {
      if (caller === null) throw new ProblemError('invalid_api_key')
      const { organization } = caller
      await organizationOf(identities, caller)
      const { principal, limit = defaultLimit, cursor } = query
      const prefix = principal === undefined ? '' : `${principal}/`
      const after = cursor === undefined ? '' : (idOf(cursor) ?? '')
      const page = await sessions.list(organization, prefix, after, limit)
      return {
        sessions: await Promise.all(page.sessions.map((entry) => shown(options, organization, entry))),
        ...(page.next === undefined ? {} : { next: shownId(page.next) }),
      }
    },
  )
  app.get(
    '/v1/sessions/:id',
    {
      schema: { params: SessionParams, response: { 200: SessionAnswer } },
      onRequest,
      config: {
        docs: {
          ...docs,
          summary: 'Look at a session',
          description: 'One client, by the id that the list gives.',
          problems: [...keyProblems, 'session_not_found'],
        },
      },
    },
    async ({ params, caller }): Promise<Static<typeof SessionAnswer>> => {
      if (caller === null) throw new ProblemError('invalid_api_key')
      await organizationOf(identities, caller)
      const entry = await found(sessions, caller.organization, params.id)
      return shown(options, caller.organization, entry)
    },
  )
  app.delete(
    '/v1/sessions/:id',
    {
      schema: { params: SessionParams, response: { 200: EndedAnswer } },
      onRequest,
      config: {
        docs: {
          ...docs,
          summary: 'End a session',
          description:
            'Its connection is closed and what is kept for it is forgotten. The client may connect again: revoke its ' +
            'credential to keep it out.',
          problems: [
            ...keyProblems,
            'session_not_found',
            'malformed_json',
            'payload_too_large',
            'unsupported_media_type',
          ],
        },
      },
    },
    async (request): Promise<Static<typeof EndedAnswer>> => {
      const { params, caller } = request
      if (caller === null) throw new ProblemError('invalid_api_key')
      const { organization } = caller
      await organizationOf(identities, caller)
      const entry = await found(sessions, organization, params.id)
      // What was seen, and not what comes after it.
      const at = Math.max(entry.connection?.since ?? 0, entry.stored?.openedAt ?? 0)
      const name = formatMoment({ at, of: entry.id })
      const position = await control.append({ type: 'session', organization, name })
      const [principal, clientId] = partsOf(entry.id)
      audit.record({ event: 'session.ended', ...auditedFields(request), principal, clientId })
      const { ended, missing } = await control.applied([position], confirmWithinMs)
      return { ended_connections: ended, unconfirmed_replicas: [...missing] }
    },
  )
}

/** Of a path: a client id may hold anything. */
const shownId = (id: string): string => Buffer.from(id).toString('base64url')

/** Undefined for what is no id of ours. */
function idOf(shown: string): string | undefined {
  const id = Buffer.from(shown, 'base64url').toString()
  return shownId(id) === shown && id.includes('/') ? id : undefined
}

async function found(
  sessions: SessionDirectory,
  organization: OrganizationId,
  shownAs: string,
): Promise<SessionEntry> {
  const id = idOf(shownAs)
  const entry = id === undefined ? undefined : await sessions.find(organization, id)
  if (entry === undefined) throw new ProblemError('session_not_found')
  return entry
}

function partsOf(id: string): readonly [principal: string, clientId: string] {
  const slash = id.indexOf('/')
  return [id.slice(0, slash), id.slice(slash + 1)]
}

const protocols: Readonly<Record<number, '3.1' | '3.1.1' | '5'>> = { 3: '3.1', 4: '3.1.1', 5: '5' }

async function shown(
  { credentials }: SessionsRouteOptions,
  organization: OrganizationId,
  { id, connection, stored }: SessionEntry,
): Promise<Static<typeof SessionAnswer>> {
  const [principal, clientId] = partsOf(id)
  const credential = connection?.credential
  const issued = credential === undefined ? undefined : await credentials.get(organization, credential)
  const protocol = connection?.version === undefined ? undefined : protocols[connection.version]
  return {
    id: shownId(id),
    principal,
    client_id: clientId,
    ...(connection === undefined
      ? {}
      : {
          connection: {
            since: new Date(connection.since).toISOString(),
            replica: connection.replica,
            ...(connection.address === undefined ? {} : { address: connection.address }),
            ...(connection.listener === undefined ? {} : { listener: connection.listener }),
            ...(protocol === undefined ? {} : { protocol }),
            ...(credential === undefined ? {} : { credential }),
            ...(connection.subscriptions === undefined
              ? {}
              : { subscriptions: [...connection.subscriptions].toSorted() }),
            ...(issued === undefined ? {} : { expires_at: new Date(issued.expiresAt).toISOString() }),
          },
        }),
    ...(stored === undefined
      ? {}
      : {
          stored: {
            subscriptions: [...stored.subscriptions].toSorted(),
            queued: stored.queued,
            ...(connection === undefined ? { ends_at: new Date(stored.endsAt).toISOString() } : {}),
          },
        }),
  }
}
