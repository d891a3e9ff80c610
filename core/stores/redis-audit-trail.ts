import type { AuditNature } from '#core/audit/audit-event.ts'
import type { Clock } from '#core/clock.ts'
import { parseJson } from '#core/json.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { AuditTrail, KeptEvent, TrailBounds, TrailPage, TrailQuery } from './audit-trail.ts'
import { fromRedis, type RedisConnection } from './redis-connection.ts'
import type { RedisKeys } from './redis-keys.ts'
import { latestFirst, pageOf, type PlacedEvent, placeOf, type StreamPlace } from './trail-order.ts'

/** A stream for each nature; its ids are the time of Redis. */
export class RedisAuditTrail implements AuditTrail {
  readonly #redis: RedisConnection
  readonly #keys: RedisKeys
  readonly #bounds: TrailBounds
  readonly #now: Clock

  constructor(redis: RedisConnection, keys: RedisKeys, bounds: TrailBounds, now: Clock) {
    this.#redis = redis
    this.#keys = keys
    this.#bounds = bounds
    this.#now = now
  }

  async append(
    organization: OrganizationId,
    nature: AuditNature,
    events: readonly KeptEvent[],
  ): Promise<void> {
    const key = this.#keys.audit(organization, nature)
    const { events: most, hours } = this.#bounds
    const seconds = hours * 3_600
    // One after the other on one connection, without a pipeline of the client: on a Cluster that would be sent again.
    await fromRedis(() =>
      Promise.all([
        ...events.map((event) => this.#redis.xadd(key, 'MAXLEN', '~', most, '*', 'e', JSON.stringify(event))),
        this.#redis.xtrim(key, 'MINID', this.#oldest()),
        this.#redis.expire(key, seconds),
      ]),
    )
  }

  async read(organization: OrganizationId, query: TrailQuery): Promise<TrailPage> {
    const { natures, before, since = 0, until, limit } = query
    const place = before === undefined ? undefined : placeOf(before)
    const oldest = String(Math.max(since, this.#oldest()))
    const found = await Promise.all(
      natures.map(async (nature) => {
        const key = this.#keys.audit(organization, nature)
        const end = endOf(nature, place, until)
        const entries = await fromRedis(() => this.#redis.xrevrange(key, end, oldest, 'COUNT', limit + 1))
        return entries.map(([id, [, text = '']]): PlacedEvent => ({
          ...idOf(id, nature),
          event: eventOf(text),
        }))
      }),
    )
    return pageOf(found.flat(), limit)
  }

  /** The clock may be finer than the ids of a stream. */
  #oldest(): number {
    return Math.max(0, Math.floor(this.#now() - this.#bounds.hours * 3_600_000))
  }
}

/** Where reading backwards begins in the stream of a nature. */
function endOf(nature: AuditNature, place: StreamPlace | undefined, until: number | undefined): string {
  if (place === undefined || (until !== undefined && until < place.ms))
    return until === undefined ? '+' : String(until)
  const { ms, number } = place
  const isBehind = latestFirst(place, { ms, number, nature }) < 0
  return `${isBehind ? '' : '('}${ms}-${number}`
}

function idOf(id: string, nature: AuditNature): StreamPlace {
  const [ms, number] = id.split('-')
  return { ms: Number(ms), number: Number(number), nature }
}

/** Only our programs write here; what a later version of them wrote is shown as it is. */
function eventOf(text: string): KeptEvent | undefined {
  const value = parseJson(text)
  return typeof value === 'object' && value !== null && 'event' in value ? (value as KeptEvent) : undefined
}
