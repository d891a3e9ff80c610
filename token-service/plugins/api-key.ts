import type { FastifyRequest } from 'fastify'
import { apiKeyBinding } from '#core/credentials/api-key-record.ts'
import { secretKindOf } from '#core/credentials/secret.ts'
import { dummyVerifier, verifySecret } from '#core/credentials/verifier.ts'
import { DomainError } from '#core/errors.ts'
import type { ApiKeyScope } from '#core/resources/api-key.ts'
import type { FoundApiKey, IdentityReader } from '#core/stores/identity-store.ts'
import { ProblemError } from '../problems.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The API key that the request was made with; null before it is known. */
    caller: FoundApiKey | null
  }
}

// RFC 6750 §2.1, as far as a key of ours can need it.
const bearer = /^Bearer +([A-Za-z0-9_-]{1,128})$/i

/**
 * For a route's `onRequest`: lets only API keys with one of the scopes through, before a body is read. A key that is
 * unknown, malformed or revoked gets one answer.
 */
export function requireApiKey(
  identities: IdentityReader,
  ...wanted: readonly ApiKeyScope[]
): (request: FastifyRequest) => Promise<void> {
  return async (request) => {
    const caller = await findCaller(identities, request.headers.authorization)
    request.caller = caller
    const { type, scopes, origins } = caller.record
    if (type === 'publishable' && !origins.some((origin) => origin === request.headers.origin)) {
      throw new ProblemError('origin_not_allowed')
    }
    // A publishable key lies open in every browser: it may exchange, whatever its record says.
    const usable = type === 'publishable' ? scopes.filter((scope) => scope === 'exchange') : scopes
    if (!wanted.some((scope) => usable.includes(scope))) {
      const detail = `the API key lacks the scope ${wanted.join(' or ')}`
      throw new ProblemError('insufficient_scope', { detail })
    }
  }
}

async function findCaller(identities: IdentityReader, header: string | undefined): Promise<FoundApiKey> {
  const secret = bearer.exec(header ?? '')?.[1] ?? ''
  const kind = secretKindOf(secret)
  if (kind !== 'sk' && kind !== 'pk') throw new ProblemError('invalid_api_key')
  const found = await identities.findApiKey(secret)
  // An unknown key takes as long as a known one.
  const isRight = await verifySecret(
    secret,
    found?.record.verifier ?? dummyVerifier,
    found === undefined ? { kind: 'api-key', name: '' } : apiKeyBinding(found.organization, found.name),
  )
  if (found !== undefined && isRight) {
    if ((kind === 'sk') === (found.record.type === 'secret')) return found
  } else if (!(await identities.isReady())) {
    throw new DomainError('store-not-ready', 'the records of API keys are not there yet')
  }
  throw new ProblemError('invalid_api_key')
}
