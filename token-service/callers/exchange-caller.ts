import type { FastifyReply, FastifyRequest } from 'fastify'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import { allowOrigin } from '../plugins/cross-origin.ts'
import { ProblemError } from '../problems.ts'
import { checkApiKey } from './api-key-caller.ts'
import type { Caller } from './caller.ts'
import { countedCaller } from './counted-caller.ts'
import { callerWithoutKey } from './open-caller.ts'

export interface ExchangeClaim {
  /** An API key; undefined where the request brings none. */
  readonly secret: string | undefined
  /** The organization that the request names. */
  readonly organization: string | undefined
}

/** Who exchanges: by an API key where there is one, otherwise anybody at an organization that is open to that. */
export async function exchangeCaller(
  identities: IdentityReader,
  { secret, organization }: ExchangeClaim,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<Caller> {
  const { limits } = request.server
  const { origin } = request.headers
  if (secret !== undefined) {
    const key = await countedCaller(identities, secret, request, reply)
    if (organization !== undefined && organization !== key.organization) {
      throw new ProblemError('invalid_api_key', { why: 'other-organization' })
    }
    checkApiKey(key, ['exchange'], request, reply)
    return key
  }
  await limits.ofAddress(request.ip, reply)
  const { organization: id, open } = await callerWithoutKey(identities, organization ?? '', origin)
  request.audited.organization = id
  allowOrigin(origin, reply)
  await limits.withoutKey(id, open.perMinute, reply)
  return { organization: id }
}
