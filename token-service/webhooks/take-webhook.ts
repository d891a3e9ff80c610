import { hash } from 'node:crypto'
import type { Clock } from '#core/clock.ts'
import type { BarrierTarget } from '#core/credentials/barrier.ts'
import type { CredentialKind } from '#core/credentials/credential-record.ts'
import { DomainError } from '#core/errors.ts'
import type { Principal } from '#core/identity/principal.ts'
import type { ProviderRecord } from '#core/identity/provider-record.ts'
import { webhookKeys } from '#core/identity/webhook-secret.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { openProviderSecret } from '#core/sealing/provider-secrets.ts'
import type { SealingKeys } from '#core/sealing/sealing-keys.ts'
import type { CredentialPosition, CredentialQuery, CredentialStore } from '#core/stores/credential-store.ts'
import type { Marks } from '#core/stores/marks.ts'
import type { EndedSessions } from '../issuing/ended-sessions.ts'
import type { JsonObject } from '../verifier/compact-token.ts'
import { issuersOf, principalsOf } from '../verifier/verify-token.ts'
import { type ProviderWebhooks, providerWebhooks, type WebhookConsequence } from './provider-webhooks.ts'
import {
  toleranceSeconds,
  webhookFailure,
  type WebhookFailure,
  type WebhookHeaders,
} from './signed-webhook.ts'

export interface WebhookDependencies {
  readonly credentials: CredentialStore
  readonly marks: Marks
  readonly endedSessions: EndedSessions
  readonly sealing: SealingKeys | undefined
  readonly now: Clock
}

export interface WebhookSender {
  readonly organization: OrganizationId
  readonly record: ProviderRecord
}

export interface SentWebhook {
  /** By its name in lower case; a header that came twice is none. */
  header(name: string): string | undefined
  /** As it was sent. */
  readonly bytes: Buffer
  readonly event: JsonObject
}

export type WebhookVerdict =
  | { readonly failure: WebhookFailure | 'not-configured' | 'replayed' }
  | {
      readonly failure?: undefined
      readonly webhooks: ProviderWebhooks
      /** To be called once all that follows is done: the same webhook is then refused. */
      readonly remember: () => Promise<void>
    }

// The time of a webhook may lie that far on either side of ours.
const rememberedSeconds = 3 * toleranceSeconds
const pageSize = 500

/** Whether a webhook is the provider's, and has not been dealt with before. */
export async function judgeWebhook(
  { marks, sealing, now }: WebhookDependencies,
  { organization, record }: WebhookSender,
  { header, bytes }: SentWebhook,
): Promise<WebhookVerdict> {
  const webhooks = providerWebhooks[record.type]
  const secret = openProviderSecret(sealing, organization, record, 'webhook')
  if (webhooks === undefined || secret === undefined) return { failure: 'not-configured' }
  const keys = webhookKeys(secret)
  if (keys === undefined) throw new DomainError('record-damaged', 'the secret of a webhook is none')
  const of = (name: keyof WebhookHeaders): string => header(`${webhooks.prefix}-${name}`) ?? ''
  const headers = { id: of('id'), timestamp: of('timestamp'), signature: of('signature') }
  const failure = webhookFailure(keys, headers, bytes, Math.floor(now() / 1_000))
  if (failure !== undefined) return { failure }
  const mark = `webhook:${hash('sha256', JSON.stringify([record.uid, headers.id]), 'base64url')}`
  if (await marks.has(organization, mark)) return { failure: 'replayed' }
  return { webhooks, remember: () => marks.put(organization, mark, rememberedSeconds) }
}

/** Ends what a webhook says is over. Done twice it does no harm. Resolves with the positions in the control log. */
export async function carryOut(
  dependencies: WebhookDependencies,
  { organization, record }: WebhookSender,
  webhooks: ProviderWebhooks,
  { subject, session }: WebhookConsequence,
): Promise<readonly string[]> {
  const { credentials, endedSessions } = dependencies
  const principals = principalsOf(record, subject)
  if (session === undefined) {
    const targets = principals.map((principal): BarrierTarget => `principal:${principal}`)
    const raised = targets.map((target) => credentials.raiseBarrier(organization, target))
    return (await Promise.all(raised)).map(({ position }) => position)
  }
  // Before they are looked for: one that is issued meanwhile sees it, or is found.
  for (const issuer of issuersOf(record)) {
    await endedSessions.end(organization, issuer, session, webhooks.longestTokenSeconds)
  }
  const positions: string[] = []
  for (const local of await credentialsOfSession(credentials, organization, principals, session)) {
    positions.push(...(await credentials.revoke(organization, local)).positions)
  }
  return positions
}

/** Those of the person, and of agents that act for them. */
async function credentialsOfSession(
  credentials: CredentialStore,
  organization: OrganizationId,
  principals: readonly Principal[],
  session: string,
): Promise<readonly string[]> {
  const found: string[] = []
  const kind: CredentialKind = 'agent'
  for (const query of [{ principals }, { kind }]) {
    for await (const { local, principal, attributes } of all(credentials, organization, query)) {
      const isTheirs = principals.some((each) => principal === each || principal.endsWith(`:${each}`))
      if (isTheirs && attributes['session_id'] === session) found.push(local)
    }
  }
  return found
}

async function* all(
  credentials: CredentialStore,
  organization: OrganizationId,
  query: Omit<CredentialQuery, 'limit' | 'after'>,
) {
  let after: CredentialPosition | undefined
  do {
    const page = { ...query, limit: pageSize, ...(after === undefined ? {} : { after }) }
    const { credentials: found, next } = await credentials.list(organization, page)
    yield* found
    after = next
  } while (after !== undefined)
}
