import { renewCredential, type RenewalRefusal } from '#core/credentials/renew-credential.ts'
import { isTopicName } from '#core/access/topic-filter.ts'
import { RateExceeded } from '#core/stores/rate-limiter.ts'
import { clientFields } from '../audit/audited-client.ts'
import type { Connection } from '../connection/connection.ts'
import type { Session } from '../connection/session.ts'
import { lifeOf, sendOwn } from '../own-topics/own-message.ts'
import { ownTopics } from '../own-topics/own-topics.ts'
import type { Publish } from '../wire/publish.ts'
import { requestProperties } from '../wire/publish-properties.ts'
import { reason, type ReasonCode } from '../wire/reason-codes.ts'

/** Why a credential does not live on: the words of the REST API. */
export type RefreshRefusal =
  | 'invalid_request'
  | 'invalid_credential'
  | 'organization_suspended'
  | 'rate_limited'
  | 'renewal_not_possible'
  | 'service_unavailable'
  | 'ttl_out_of_range'

type Outcome =
  | { readonly expiresAt: number }
  | { readonly refusal: RefreshRefusal; readonly detail: string; readonly cause?: unknown }

/** A client that asks again sooner is refused before a store is asked. */
const shortestPauseMs = 1_000

const refusals: Readonly<Record<RenewalRefusal, RefreshRefusal>> = {
  gone: 'invalid_credential',
  'not-ready': 'service_unavailable',
  suspended: 'organization_suspended',
  ttl: 'ttl_out_of_range',
  longest: 'renewal_not_possible',
}

const details: Readonly<Record<RefreshRefusal, string>> = {
  invalid_request: 'the payload is nothing, or JSON such as {"ttl": 600}',
  invalid_credential: 'the credential is gone',
  organization_suspended: 'the organization is suspended',
  rate_limited: 'it was asked for too often',
  renewal_not_possible: 'it lives as long as it may without a fresh proof: exchange a new identity token',
  service_unavailable: 'the stores do not answer right now; ask again',
  ttl_out_of_range: 'the organization allows no such ttl',
}

/**
 * A client publishes to `$cloudsignal/credential/refresh`: the credential of its connection is prolonged, by nothing but
 * the connection itself. The answer goes to this connection alone. Resolves with what its PUBACK or PUBREC says.
 */
export async function refreshCredential(
  connection: Connection,
  session: Session,
  packet: Publish,
): Promise<ReasonCode> {
  const { metrics, audit, now } = connection.options
  const outcome = await refresh(connection, session, packet)
  const { responseTopic, correlation } = requestProperties(packet.properties?.bytes)
  const isAnswerable = responseTopic !== undefined && isTopicName(responseTopic)
  const answer = {
    topic: isAnswerable ? responseTopic : ownTopics.refreshed,
    properties: correlation,
  }
  const { organization, principal, credential, clientId, address } = clientFields(connection, session)
  const names = { organization, principal, credential, clientId, address }
  if ('expiresAt' in outcome) {
    metrics.renewed('renewed')
    const expiresAt = new Date(outcome.expiresAt).toISOString()
    audit.record({ event: 'credential.renewed', ...names, expiresAt })
    sendOwn(connection, session, { ...answer, body: lifeOf(outcome.expiresAt, now()) })
    return reason.success
  }
  const { refusal, detail, cause } = outcome
  metrics.renewed(refusal)
  const why = { reason: refusal, detail: cause instanceof Error ? cause.message : undefined }
  audit.record({ event: 'credential.renewal-refused', ...names, ...why })
  sendOwn(connection, session, { ...answer, body: { code: refusal, detail } })
  return codeOf(refusal)
}

async function refresh(connection: Connection, session: Session, packet: Publish): Promise<Outcome> {
  const request = readRequest(packet.payload)
  if (request === undefined) return refused('invalid_request')
  const { admission } = session
  if (admission.source.type !== 'credential') {
    return refused('renewal_not_possible', 'only temporary credentials end, and are renewed')
  }
  const askedAt = performance.now()
  if (askedAt - session.refreshedAt < shortestPauseMs) return refused('rate_limited')
  session.refreshedAt = askedAt
  const { renewals } = connection.options
  const username = { organization: admission.organizationId, local: admission.source.name }
  try {
    const former = await renewals.credentials.get(username.organization, username.local)
    if (former === undefined || String(former.issuedAt) !== admission.uid)
      return refused('invalid_credential')
    const renewal = await renewCredential(renewals, { username, former, ttlSeconds: request.ttl })
    if ('renewed' in renewal) {
      await connection.review()
      return { expiresAt: renewal.renewed.expiresAt }
    }
    const { refusal, bounds } = renewal
    const range = bounds === undefined ? undefined : `give ${bounds.shortest} to ${bounds.longest} seconds`
    return refused(refusals[refusal], range)
  } catch (cause) {
    if (cause instanceof RateExceeded) return refused('rate_limited')
    return { ...refused('service_unavailable'), cause }
  }
}

function refused(refusal: RefreshRefusal, detail = details[refusal]) {
  return { refusal, detail }
}

/** Undefined where it is none. */
function readRequest(payload: Buffer): { readonly ttl: number | undefined } | undefined {
  if (payload.length === 0) return { ttl: undefined }
  if (payload.length > 1_024) return undefined
  try {
    const body: unknown = JSON.parse(payload.toString())
    if (typeof body !== 'object' || body === null || Array.isArray(body)) return undefined
    const { ttl } = body as { ttl?: unknown }
    return ttl === undefined || (typeof ttl === 'number' && Number.isInteger(ttl)) ? { ttl } : undefined
  } catch {
    return undefined
  }
}

function codeOf(refusal: RefreshRefusal): ReasonCode {
  if (refusal === 'rate_limited') return reason.quotaExceeded
  const isOurs = refusal === 'service_unavailable' || refusal === 'invalid_request'
  return isOurs ? reason.implementationSpecific : reason.notAuthorized
}
