import type { FastifyReply, FastifyRequest } from 'fastify'
import { apiKeyBinding } from '#core/credentials/api-key-record.ts'
import { secretKindOf } from '#core/credentials/secret.ts'
import { dummyVerifier, verifySecret } from '#core/credentials/verifier.ts'
import { DomainError } from '#core/errors.ts'
import type { ApiKeyScope } from '#core/resources/api-key.ts'
import type { FoundApiKey, IdentityReader } from '#core/stores/identity-store.ts'
import { allowOrigin } from '../plugins/cross-origin.ts'
import { ProblemError } from '../problems.ts'

/** Records whose secret was seen to be right: found by its digest, it can be no other one. */
const proven = new WeakSet<object>()

/** Whose API key a secret is. A key that is unknown, malformed or revoked gets one answer, and takes as long. */
export async function callerByApiKey(identities: IdentityReader, secret: string): Promise<FoundApiKey> {
  const kind = secretKindOf(secret)
  // A wrong checksum is a guess: not worth a question to the store.
  if (kind !== 'sk' && kind !== 'pk') {
    throw new ProblemError('invalid_api_key', { why: secret === '' ? 'missing' : 'malformed' })
  }
  const found = await identities.findApiKey(secret)
  if (found !== undefined && proven.has(found.record)) return found
  const isRight = await verifySecret(
    secret,
    found?.record.verifier ?? dummyVerifier,
    found === undefined ? { kind: 'api-key', name: '' } : apiKeyBinding(found.organization, found.name),
  )
  if (found !== undefined && isRight) {
    if ((kind === 'sk') === (found.record.type === 'secret')) {
      proven.add(found.record)
      return found
    }
  } else if (!(await identities.isReady())) {
    throw new DomainError('store-not-ready', 'the records of API keys are not there yet')
  }
  throw new ProblemError('invalid_api_key', { why: 'unknown' })
}

/** Whether the key may do one of these, from where the request comes. */
export function checkApiKey(
  { record: { type, scopes, origins } }: FoundApiKey,
  wanted: readonly ApiKeyScope[],
  { headers: { origin } }: FastifyRequest,
  reply: FastifyReply,
): void {
  if (type === 'publishable') {
    if (!origins.some((each) => each === origin)) throw new ProblemError('origin_not_allowed')
    allowOrigin(origin, reply)
  }
  // A publishable key lies open in every browser: it may exchange, whatever its record says.
  const usable = type === 'publishable' ? scopes.filter((scope) => scope === 'exchange') : scopes
  if (!wanted.some((scope) => usable.includes(scope))) {
    const detail = `the API key lacks the scope ${wanted.join(' or ')}`
    throw new ProblemError('insufficient_scope', { detail })
  }
}
