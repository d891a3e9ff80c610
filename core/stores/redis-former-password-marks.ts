import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { type FormerPasswordMarks, keptAfterEndMs } from './former-password-marks.ts'
import { fromRedis, type RedisConnection } from './redis-connection.ts'
import type { RedisKeys } from './redis-keys.ts'

/** One key for each user, which ends by itself. */
export class RedisFormerPasswordMarks implements FormerPasswordMarks {
  readonly #redis: RedisConnection
  readonly #keys: RedisKeys

  constructor(redis: RedisConnection, keys: RedisKeys) {
    this.#redis = redis
    this.#keys = keys
  }

  async mark(organization: OrganizationId, local: string, at: number, passwordEnds: number): Promise<void> {
    const key = this.#keys.formerPassword(organization, local)
    const until = Math.round(passwordEnds + keptAfterEndMs)
    await fromRedis(() => this.#redis.set(key, String(Math.round(at)), 'PXAT', until))
  }

  async lastUse(organization: OrganizationId, local: string): Promise<number | undefined> {
    const at = await fromRedis(() => this.#redis.get(this.#keys.formerPassword(organization, local)))
    return at === null ? undefined : Number(at)
  }
}
