import type { Audit } from '#core/audit/audit.ts'
import type { Action } from '#core/access/access-rule.ts'
import type { Refused } from '#core/access/verdict.ts'
import type { Clock } from '#core/clock.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { type AuditedClient, clientFields, type Peer } from './audit/audited-client.ts'

export interface Denial {
  readonly action: Action
  readonly topic: string
  readonly verdict: Refused
}

export interface DenialsOptions {
  readonly metrics: { denied(action: Action, organization: OrganizationId): void }
  readonly audit: Audit
  readonly now: Clock
}

const rememberMs = 3_600_000
const mostRemembered = 50_000
const longestTopic = 256

/**
 * What access lists denied: every time is counted, but a client that meets the same rule again and again is written
 * down once an hour.
 */
export class Denials {
  readonly #options: DenialsOptions
  readonly #written = new Set<string>()
  #forgetAt = 0

  constructor(options: DenialsOptions) {
    this.#options = options
  }

  report(peer: Peer, client: AuditedClient, denial: Denial): void {
    const { metrics, audit, now } = this.#options
    const { organizationId } = client.admission
    metrics.denied(denial.action, organizationId)
    const at = now()
    if (at >= this.#forgetAt || this.#written.size >= mostRemembered) {
      this.#written.clear()
      this.#forgetAt = at + rememberMs
    }
    const key = keyOf(client, denial)
    if (this.#written.has(key)) audit.count('access.denied', denial.verdict.reason, organizationId)
    else if (this.#write(peer, client, denial)) this.#written.add(key)
  }

  /** Of a subscription that `grant` did not grant. */
  reportSubscription(peer: Peer, client: AuditedClient, topic: string): void {
    const verdict = client.admission.access.subscribe(topic)
    if (!verdict.allowed) this.report(peer, client, { action: 'subscribe', topic, verdict })
  }

  #write(peer: Peer, client: AuditedClient, { action, topic, verdict }: Denial): boolean {
    const { reason, rule } = verdict
    return this.#options.audit.record({
      event: 'access.denied',
      ...clientFields(peer, client),
      action,
      topic: topic.slice(0, longestTopic),
      reason,
      list: rule?.list,
      rule: rule?.index,
    })
  }
}

/** A client and a rule; by principal, so that a renewed credential is no new client. */
function keyOf(
  { admission, clientId }: AuditedClient,
  { action, verdict: { reason, rule } }: Denial,
): string {
  const { organizationId, principal } = admission
  return [organizationId, principal, clientId, action, reason, rule?.list, rule?.index].join('\0')
}
