import type { Judge } from '#core/stores/credential-store.ts'
import type { Caller } from '../callers/caller.ts'
import { organizationOf } from '../organization-of.ts'
import { credentialTtl } from './credential-ttl.ts'
import type { ExchangeDependencies } from './exchange-identity.ts'
import { identify } from './identify.ts'
import { issueCredential, type NewCredential } from './issue-credential.ts'
import { checkTokenRequest, tokenGrant } from './token-grant.ts'
import type { TokenRequest } from './token-request.ts'

export interface CreatedToken extends NewCredential {
  readonly ttlSeconds: number
}

/** Makes a credential for somebody without an identity provider: the caller's API key answers for them. */
export async function createToken(
  dependencies: ExchangeDependencies,
  caller: Caller,
  request: TokenRequest,
): Promise<CreatedToken> {
  const { identities, credentials, now, mostPerSubject, endedSessions } = dependencies
  const { onBehalfOf, lists = [], ttlSeconds: requested } = request
  const vouching = judgeOf(dependencies, caller)
  const [organization, known] = await Promise.all([
    organizationOf(identities, caller),
    identities.getMany('access-list', caller.organization, lists),
  ])
  checkTokenRequest(request, caller, organization, new Set(known.keys()))
  const person =
    onBehalfOf === undefined ? undefined : await identify(dependencies, caller.organization, onBehalfOf)
  const ttlSeconds = credentialTtl({
    requested,
    organization,
    provider: person?.record,
    ...(person === undefined ? {} : { tokenLife: person.identity.expiresAt - Math.ceil(now() / 1000) }),
  })
  const grant = tokenGrant(request, caller, organization, person)
  const bounds = {
    replace: request.replace === true,
    most: mostPerSubject,
    judgedBy: [...vouching, ...(person === undefined ? [] : [person.judgedBy])],
    ...(person === undefined ? {} : { provenAt: person.identity.issuedAt * 1000 }),
  }
  const created = await issueCredential(credentials, caller.organization, grant, ttlSeconds, bounds)
  if (person !== undefined) {
    await endedSessions.checkIssued(credentials, caller.organization, person, created.id)
  }
  return { ...created, ttlSeconds }
}

/** The caller's API key, as it was when it was found. */
function judgeOf({ identities, now }: ExchangeDependencies, { name, record }: Caller): readonly Judge[] {
  if (name === undefined || record === undefined) return []
  return [{ type: 'api-key', name, version: identities.versionOf(record), readAt: now() }]
}
