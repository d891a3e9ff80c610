import type { FastifyInstance, FastifyReply } from 'fastify'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { organizationRecordName } from '#core/stores/identity-records.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'

const methods = ['GET', 'POST', 'DELETE'] as const

/**
 * Cross-origin requests of browsers (the Fetch standard's CORS). A preflight brings no key and names no organization:
 * it is answered alike to everybody. Whether a page may read the answer is decided with the request itself, by the
 * origins of the key or of the organization. There are no cookies, so that nobody acts by being in a browser.
 */
export function answerPreflights(app: FastifyInstance): void {
  app.addHook('onRequest', ({ method, headers }, reply, done) => {
    const { origin, 'access-control-request-method': wanted } = headers
    if (origin === undefined) return done()
    reply.header('vary', 'Origin')
    if (method !== 'OPTIONS' || wanted === undefined) return done()
    return reply
      .code(204)
      .headers({
        'access-control-allow-origin': origin,
        'access-control-allow-methods': methods.join(', '),
        'access-control-allow-headers': 'authorization, content-type',
        'access-control-max-age': '600',
      })
      .send()
  })
}

/** Lets pages of an origin read the answer; it has been found to be one of the caller's. */
export function allowOrigin(origin: string | undefined, reply: FastifyReply): void {
  if (origin === undefined) return
  reply.headers({
    'access-control-allow-origin': origin,
    'access-control-expose-headers': 'ratelimit, ratelimit-policy, request-id, retry-after',
  })
}

/** The same where no key says which origins there are: those of the organization, and of its publishable keys. */
export async function allowOriginOf(
  organization: OrganizationId | undefined,
  origin: string | undefined,
  identities: IdentityReader,
  reply: FastifyReply,
): Promise<void> {
  if (organization === undefined || origin === undefined) return
  const [record, keys] = await Promise.all([
    identities.get('organization', organization, organizationRecordName),
    identities.list('api-key', organization),
  ])
  const ofKeys = [...keys.values()].flatMap(({ type, origins }) => (type === 'publishable' ? origins : []))
  const allowed = [...(record?.exchange.public?.origins ?? []), ...ofKeys]
  if (allowed.includes(origin) || allowed.includes('*')) allowOrigin(origin, reply)
}
