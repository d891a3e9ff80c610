import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FoundApiKey, IdentityReader } from '#core/stores/identity-store.ts'
import { ProblemError } from '../problems.ts'
import { callerByApiKey } from './api-key-caller.ts'

/**
 * Whose API key a secret is, and that they do not ask too often. Whoever holds no secret key counts by where they come
 * from: also those who try keys, so that the address of a backend bears nothing for what its key does.
 */
export async function countedCaller(
  identities: IdentityReader,
  secret: string,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FoundApiKey> {
  const { limits, keyUses } = request.server
  const looksSecret = secret.startsWith('cs_sk_')
  if (!looksSecret) await limits.ofAddress(request.ip, reply)
  const caller = await callerByApiKey(identities, secret).catch(async (error: unknown) => {
    const isGuess = error instanceof ProblemError && error.code === 'invalid_api_key'
    if (isGuess && looksSecret) await limits.ofAddress(request.ip, reply)
    throw error
  })
  request.caller = caller
  await limits.ofKey(caller, reply)
  keyUses.used(caller)
  return caller
}
