import { type Static, type TSchema, Type } from 'typebox'
import { type AuditEventName, auditEvents, type AuditNature, auditNatures } from '#core/audit/audit-event.ts'
import type { AuditTrailReader, KeptEvent, TrailPosition } from '#core/stores/audit-trail.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import type { App } from '../app.ts'
import { keyProblems } from '../openapi/route-docs.ts'
import { organizationOf } from '../organization-of.ts'
import { requireApiKey } from '../plugins/api-key.ts'
import { ProblemError } from '../problems.ts'
import { closed } from './request-fields.ts'

export interface AuditRouteOptions {
  readonly identities: IdentityReader
  readonly auditTrail: AuditTrailReader
}

const defaultLimit = 50
/** Looked at for one answer, where a filter lets few through. */
const mostRead = 2_000
const pageSize = 200
/** An event is kept a moment after it was. */
const keptWithinMs = 60_000

const filter = (description: string) =>
  Type.Optional(Type.String({ minLength: 1, maxLength: 320, description }))
const time = (description: string) => Type.Optional(Type.String({ format: 'date-time', description }))

/** Equal to the field of that name. */
const filters = {
  event: Type.Optional(Type.Enum(Object.keys(auditEvents) as AuditEventName[])),
  subject: filter('The person, as the identity provider calls them.'),
  principal: filter('Such as sub:..., user:sensor_01 or agent:planner-1.'),
  username: filter('As the client gave it.'),
  client_id: filter('Of MQTT.'),
  credential: filter('Id of a temporary credential.'),
  api_key: filter('Name of the ApiKey.'),
  provider: filter('Name of the IdentityProvider.'),
  address: filter('Of the client or caller.'),
  reason: filter('Why something was refused or ended.'),
  request: filter('What the answer to the request had as Request-Id.'),
} as const
type Filter = keyof typeof filters
const filterNames = Object.keys(filters) as Filter[]

const AuditQuery = Type.Object(
  {
    nature: Type.Optional(
      Type.Enum(auditNatures, {
        description: 'routine, ending (somebody’s access ended) or refusal; all by default.',
      }),
    ),
    ...filters,
    since: time('Events of that time and later.'),
    until: time('Events of that time and earlier.'),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 200, description: `Of one page; ${defaultLimit} by default.` }),
    ),
    cursor: Type.Optional(
      Type.String({ pattern: '^[0-9]{1,15}-[0-9]{1,15}\\.[0-2]$', description: 'next of the page before.' }),
    ),
  },
  closed,
)

const spelled = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** Every field that an event may have, as this API spells names. */
const fields: Record<string, TSchema> = Object.fromEntries(
  Object.values(auditEvents).flatMap(({ fields: { properties } }) =>
    Object.entries(properties as Record<string, TSchema>).map(([name, schema]) => [
      spelled(name),
      Type.Optional('enum' in schema ? Type.String() : schema),
    ]),
  ),
)

const ListedEvent = Type.Object({
  time: Type.String({ format: 'date-time' }),
  event: Type.String({ description: 'What happened; docs/audit.md lists all events and their fields.' }),
  message: Type.String({ description: 'The same for people.' }),
  program: Type.String({ description: 'broker or token-service.' }),
  ...fields,
})
const AuditAnswer = Type.Object({
  events: Type.Array(ListedEvent, {
    description:
      'The latest first. Of a filter that lets few through a page may have less than there are, or none.',
  }),
  next: Type.Optional(Type.String({ description: 'cursor of the next page; absent on the last one.' })),
})

export function auditRoute(app: App, { identities, auditTrail }: AuditRouteOptions): void {
  app.get(
    '/v1/audit',
    {
      schema: { querystring: AuditQuery, response: { 200: AuditAnswer } },
      onRequest: requireApiKey(identities, 'audit'),
      config: {
        docs: {
          tag: 'Audit',
          summary: 'Read the audit log of the organization',
          description:
            'By a key with the scope audit: who signed in, who was refused and why, whose access ended. The latest events only, as many and for as long as the installation keeps; no secret is in them. Events are there a second after they happened.',
          caller: 'apiKey',
          problems: [...keyProblems, 'invalid_request'],
        },
      },
    },
    async ({ query, caller }): Promise<Static<typeof AuditAnswer>> => {
      if (caller === null) throw new ProblemError('invalid_api_key')
      await organizationOf(identities, caller)
      return readPage(auditTrail, caller.organization, query)
    },
  )
}

async function readPage(
  trail: AuditTrailReader,
  organization: OrganizationId,
  query: Static<typeof AuditQuery>,
): Promise<Static<typeof AuditAnswer>> {
  const { limit = defaultLimit, cursor } = query
  const natures = naturesOf(query)
  const [since, until] = [msOf(query.since), msOf(query.until)]
  const bounds = {
    natures,
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until: until + keptWithinMs }),
  }
  const events: ReturnType<typeof shownEvent>[] = []
  const asked = filterNames.filter((name) => query[name] !== undefined)
  const size = asked.length === 0 ? limit : pageSize
  let before = cursor as TrailPosition | undefined
  for (let read = 0; read < mostRead; read += size) {
    const place = before === undefined ? {} : { before }
    const page = await trail.read(organization, { ...bounds, ...place, limit: size })
    for (const { position, event } of page.events) {
      if (events.length === limit) return { events, ...(before === undefined ? {} : { next: before }) }
      before = position
      const shown = shownEvent(event)
      const isWanted = asked.every((name) => shown[name] === query[name])
      if (isWanted && isWithin(event, since, until)) events.push(shown)
    }
    before = page.next
    if (before === undefined) return { events }
    if (events.length === limit) break
  }
  return { events, ...(before === undefined ? {} : { next: before }) }
}

/** An event tells its nature: the others need not be read. */
function naturesOf({ nature, event }: Static<typeof AuditQuery>): readonly AuditNature[] {
  return auditNatures.filter(
    (each) =>
      (nature === undefined || nature === each) &&
      (event === undefined || auditEvents[event].nature === each),
  )
}

const msOf = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : Date.parse(text)

function isWithin({ time: at }: KeptEvent, since = -Infinity, until = Infinity): boolean {
  const ms = Date.parse(at)
  return ms >= since && ms <= until
}

/** A later version of a program may tell of an event that this one does not know. */
function shownEvent({
  time: at,
  event,
  program,
  ...rest
}: KeptEvent): Static<typeof ListedEvent> & Readonly<Record<string, unknown>> {
  const others = Object.entries(rest).map(([name, value]) => [spelled(name), value])
  const known = Object.hasOwn(auditEvents, event) ? auditEvents[event].message : event
  return { time: at, event, message: known, program, ...Object.fromEntries(others) }
}
