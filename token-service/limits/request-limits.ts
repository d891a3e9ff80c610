import { defaultPerSubject } from '#core/credentials/renew-credential.ts'
import type { FastifyReply } from 'fastify'
import type { Clock } from '#core/clock.ts'
import { addressGroup } from '#core/network/address-group.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { FoundApiKey } from '#core/stores/identity-store.ts'
import { bucketOf, minuteMs, type RateLimit, type RateLimiter } from '#core/stores/rate-limiter.ts'
import { rateHeaders, rateLimited } from './rate-headers.ts'

/** Requests per minute where no resource says otherwise. */
export interface RateSettings {
  readonly perKey: number
  readonly perOrganization: number
  readonly perSubject: number
  readonly perAddress: number
  /** Exchanges without a key, of one organization. */
  readonly withoutKey: number
  /** Webhooks of one identity provider. */
  readonly perWebhook: number
}

export const defaultRates: RateSettings = {
  perKey: 60_000,
  perOrganization: 120_000,
  perSubject: defaultPerSubject,
  perAddress: 300,
  withoutKey: 600,
  perWebhook: 6_000,
}

export interface RequestLimitsOptions {
  readonly limiter: RateLimiter
  readonly rates: RateSettings
  readonly now: Clock
}

const mostRemembered = 10_000

/**
 * How much anybody may ask for. Whoever is over a limit is refused with `rate_limited`; until then that costs the store
 * nothing.
 */
export class RequestLimits {
  readonly #options: RequestLimitsOptions
  /** By bucket: until when it is known to be empty. */
  readonly #emptyUntil = new Map<string, number>()

  constructor(options: RequestLimitsOptions) {
    this.#options = options
  }

  /** A request by an API key. */
  async ofKey({ organization, name, record }: FoundApiKey, reply: FastifyReply): Promise<void> {
    const { perKey, perOrganization } = this.#options.rates
    await this.#take(reply, organization, [
      { name: 'key', of: name, perMinute: record.perMinute ?? perKey },
      { name: 'organization', of: 'all', perMinute: perOrganization },
    ])
  }

  /** A request without one. */
  async withoutKey(
    organization: OrganizationId,
    perMinute: number | undefined,
    reply: FastifyReply,
  ): Promise<void> {
    const { withoutKey, perOrganization } = this.#options.rates
    await this.#take(reply, organization, [
      { name: 'without-key', of: 'all', perMinute: perMinute ?? withoutKey },
      { name: 'organization', of: 'all', perMinute: perOrganization },
    ])
  }

  /** A webhook that is genuine. */
  async ofWebhook(organization: OrganizationId, provider: string, reply: FastifyReply): Promise<void> {
    const { perWebhook } = this.#options.rates
    await this.#take(reply, organization, [{ name: 'webhook', of: provider, perMinute: perWebhook }])
  }

  /** Somebody who holds no secret key, wherever they belong. */
  async ofAddress(address: string, reply: FastifyReply): Promise<void> {
    const limit = { name: 'address', of: addressGroup(address), perMinute: this.#options.rates.perAddress }
    await this.#take(reply, undefined, [limit])
  }

  async #take(
    reply: FastifyReply,
    organization: OrganizationId | undefined,
    limits: readonly RateLimit[],
  ): Promise<void> {
    const idOf = (limit: RateLimit): string => `${organization ?? ''}/${bucketOf(limit)}`
    const now = this.#options.now()
    for (const limit of limits) {
      const left = (this.#emptyUntil.get(idOf(limit)) ?? 0) - now
      // No bucket is empty for longer: the clock was set back.
      if (left > 0 && left <= minuteMs)
        throw rateLimited([limit], { waitMs: left, left: [{ remaining: 0, fullInMs: left }] })
    }
    const verdict = await this.#options.limiter.take(organization, limits)
    if (verdict.waitMs > 0) {
      const empty = limits.filter((_, index) => (verdict.left[index]?.remaining ?? 0) < 1)
      if (this.#emptyUntil.size >= mostRemembered) this.#emptyUntil.clear()
      if (empty.length === 1) this.#emptyUntil.set(idOf(empty[0] as RateLimit), now + verdict.waitMs)
      throw rateLimited(limits, verdict)
    }
    addHeaders(reply, rateHeaders(limits, verdict))
  }
}

/** Several limits of one request stand in one list. */
function addHeaders(reply: FastifyReply, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    const former = reply.getHeader(name)
    reply.header(name, former === undefined ? value : `${String(former)}, ${value}`)
  }
}
