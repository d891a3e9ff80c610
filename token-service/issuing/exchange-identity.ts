import type { AccessRule } from '#core/access/access-rule.ts'
import type { CredentialStore } from '#core/stores/credential-store.ts'
import { type Caller, ceilingsOf } from '../callers/caller.ts'
import { organizationOf } from '../organization-of.ts'
import { credentialTtl } from './credential-ttl.ts'
import {
  attributesOf,
  identify,
  type IdentifyDependencies,
  type IdentityProof,
  type ProvenIdentity,
} from './identify.ts'
import { type CredentialGrant, issueCredential, type NewCredential } from './issue-credential.ts'

export interface ExchangeDependencies extends IdentifyDependencies {
  readonly credentials: CredentialStore
  /** Live credentials that one principal may have. */
  readonly mostPerSubject: number
  /** Exchanges and renewals of one principal in a minute. */
  readonly perSubject: number
}

export const defaultMostPerSubject = 50

/** What any face of the service asks for, in the service's own words. */
export interface ExchangeRequest extends IdentityProof {
  readonly ttlSeconds: number | undefined
  /** The only client id that the credential may connect with. */
  readonly clientId: string | undefined
  /** How many connections the person may have at most when it connects. */
  readonly connections?: number | undefined
  /** One more bound around what the credential may do. */
  readonly narrowing?: readonly AccessRule[] | undefined
  /** The other credentials of the subject end. */
  readonly replace?: boolean
}

export interface Exchange extends NewCredential, ProvenIdentity {
  readonly ttlSeconds: number
}

/** Makes an MQTT credential of an identity token: the core under every face of the service. */
export async function exchangeIdentity(
  dependencies: ExchangeDependencies,
  caller: Caller,
  request: ExchangeRequest,
): Promise<Exchange> {
  const { identities, credentials, now, mostPerSubject, perSubject, endedSessions } = dependencies
  const [organization, proven] = await Promise.all([
    organizationOf(identities, caller),
    identify(dependencies, caller.organization, request),
  ])
  const ttlSeconds = credentialTtl({
    requested: request.ttlSeconds,
    organization,
    provider: proven.record,
    tokenLife: proven.identity.expiresAt - Math.ceil(now() / 1000),
  })
  const grant = grantFor(proven, caller, request)
  const bounds = {
    replace: request.replace === true,
    most: mostPerSubject,
    perMinute: perSubject,
    provenAt: proven.identity.issuedAt * 1000,
    judgedBy: [proven.judgedBy],
  }
  const issued = await issueCredential(credentials, caller.organization, grant, ttlSeconds, bounds)
  await endedSessions.checkIssued(credentials, caller.organization, proven, issued.id)
  return { ...issued, ...proven, ttlSeconds }
}

function grantFor(proven: ProvenIdentity, caller: Caller, request: ExchangeRequest): CredentialGrant {
  const { provider, record, identity } = proven
  const { clientId, connections, narrowing } = request
  return {
    kind: 'exchange',
    principal: identity.principal,
    attributes: attributesOf(proven),
    access: {
      lists: record.lists,
      rules: [],
      ceilings: ceilingsOf(caller),
      ...(narrowing === undefined ? {} : { narrowing: [...narrowing] }),
    },
    provider,
    ...(caller.name === undefined ? {} : { apiKey: caller.name }),
    ...(clientId === undefined ? {} : { clientId }),
    ...(connections === undefined ? {} : { connections }),
    ...(identity.actor === undefined ? {} : { actors: [identity.actor] }),
    ...(record.bindToTokenExpiry ? { isFinal: true } : {}),
  }
}
