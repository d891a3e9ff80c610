import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ApiKeyScope } from '#core/resources/api-key.ts'
import type { FoundApiKey, IdentityReader } from '#core/stores/identity-store.ts'
import { checkApiKey } from '../callers/api-key-caller.ts'
import { countedCaller } from '../callers/counted-caller.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The API key that the request was made with; null before it is known, and without one. */
    caller: FoundApiKey | null
  }
}

// RFC 6750 §2.1, as far as a key of ours can need it.
const bearer = /^Bearer +([A-Za-z0-9_-]{1,128})$/i

/** What stands in the Authorization header as a bearer token; empty for anything else. */
export function bearerOf({ headers }: FastifyRequest): string {
  return bearer.exec(headers.authorization ?? '')?.[1] ?? ''
}

/** For a route's `onRequest`: lets only API keys with one of the scopes through, before a body is read. */
export function requireApiKey(
  identities: IdentityReader,
  ...wanted: readonly ApiKeyScope[]
): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
  return async (request, reply) => {
    const caller = await countedCaller(identities, bearerOf(request), request, reply)
    checkApiKey(caller, wanted, request, reply)
  }
}
