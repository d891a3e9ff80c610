import type { Action } from '#core/access/access-rule.ts'
import type { Refused } from '#core/access/verdict.ts'
import type { Clock } from '#core/clock.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { Log } from '#core/process/logger.ts'
import type { Admission } from './admission/admission.ts'

/** Who was denied what. */
export interface Denial {
  readonly admission: Admission
  readonly clientId: string
  readonly action: Action
  readonly topic: string
  readonly verdict: Refused
}

export interface DenialsOptions {
  readonly metrics: { denied(action: Action, organization: OrganizationId): void }
  readonly log: Log
  readonly now: Clock
}

const minuteMs = 60_000
const rememberMs = 60 * minuteMs
const mostRemembered = 50_000
/** So that one organization neither fills the log nor hides the others. */
const linesPerMinute = 20
const longestTopic = 256

/**
 * What access lists denied: every time is counted, but a client that meets the same rule again and again is
 * logged once an hour, and an organization with no more than so many lines a minute.
 */
export class Denials {
  readonly #options: DenialsOptions
  readonly #logged = new Set<string>()
  readonly #lines = new Map<OrganizationId, number>()
  #forgetAt = 0
  #nextMinute = 0

  constructor(options: DenialsOptions) {
    this.#options = options
  }

  report(denial: Denial): void {
    const { admission, action } = denial
    const { organizationId } = admission
    this.#options.metrics.denied(action, organizationId)
    const now = this.#options.now()
    if (now >= this.#forgetAt || this.#logged.size >= mostRemembered) {
      this.#logged.clear()
      this.#forgetAt = now + rememberMs
    }
    const key = keyOf(denial)
    if (this.#logged.has(key)) return
    if (now >= this.#nextMinute) {
      this.#lines.clear()
      this.#nextMinute = now + minuteMs
    }
    const lines = (this.#lines.get(organizationId) ?? 0) + 1
    this.#lines.set(organizationId, lines)
    if (lines > linesPerMinute) {
      if (lines === linesPerMinute + 1) {
        this.#options.log.info({ organization: organizationId }, 'more was denied than is logged in a minute')
      }
      return
    }
    this.#logged.add(key)
    this.#write(denial)
  }

  /** Of a subscription that `grant` did not grant. */
  reportSubscription({ admission, clientId }: Pick<Denial, 'admission' | 'clientId'>, topic: string): void {
    const verdict = admission.access.subscribe(topic)
    if (!verdict.allowed) this.report({ admission, clientId, action: 'subscribe', topic, verdict })
  }

  #write({ admission, clientId, action, topic, verdict: { reason, rule } }: Denial): void {
    const fields = {
      organization: admission.organizationId,
      user: admission.source.name,
      clientId,
      action,
      topic: topic.slice(0, longestTopic),
      reason,
      ...(rule === undefined ? {} : { list: rule.list, rule: rule.index }),
    }
    this.#options.log.info(fields, 'an access list denied a request')
  }
}

/** A client and a rule; by principal, so that a renewed credential is no new client. */
function keyOf({ admission, clientId, action, verdict: { reason, rule } }: Denial): string {
  const { organizationId, principal } = admission
  return [organizationId, principal, clientId, action, reason, rule?.list, rule?.index].join('\0')
}
