import type { FoundApiKey, IdentityReader } from '#core/stores/identity-store.ts'
import { ProblemError } from '../problems.ts'
import { callerByApiKey, checkApiKey } from './api-key-caller.ts'
import type { Caller } from './caller.ts'
import { callerWithoutKey } from './open-caller.ts'

export interface ExchangeClaim {
  /** An API key; undefined where the request brings none. */
  readonly secret: string | undefined
  /** The organization that the request names. */
  readonly organization: string | undefined
  readonly origin: string | undefined
}

export interface ExchangeCaller {
  readonly caller: Caller
  readonly key: FoundApiKey | null
}

/** Who exchanges: by an API key where there is one, otherwise anybody at an organization that is open to that. */
export async function exchangeCaller(
  identities: IdentityReader,
  { secret, organization, origin }: ExchangeClaim,
): Promise<ExchangeCaller> {
  if (secret === undefined) {
    const { organization: id } = await callerWithoutKey(identities, organization ?? '', origin)
    return { caller: { organization: id }, key: null }
  }
  const key = await callerByApiKey(identities, secret)
  if (organization !== undefined && organization !== key.organization)
    throw new ProblemError('invalid_api_key')
  checkApiKey(key, ['exchange'], origin)
  return { caller: key, key }
}
