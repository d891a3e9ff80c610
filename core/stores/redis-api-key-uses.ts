import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { type ApiKeyUses, useKeptMs } from './api-key-uses.ts'
import { fromRedis, type RedisConnection } from './redis-connection.ts'
import type { RedisKeys } from './redis-keys.ts'

/** One key for each API key, which ends by itself. */
export class RedisApiKeyUses implements ApiKeyUses {
  readonly #redis: RedisConnection
  readonly #keys: RedisKeys

  constructor(redis: RedisConnection, keys: RedisKeys) {
    this.#redis = redis
    this.#keys = keys
  }

  async note(organization: OrganizationId, uid: string, at: number): Promise<void> {
    const key = this.#keys.apiKeyUse(organization, uid)
    await fromRedis(() => this.#redis.set(key, String(Math.round(at)), 'PX', useKeptMs))
  }

  async lastUse(organization: OrganizationId, uid: string): Promise<number | undefined> {
    const at = await fromRedis(() => this.#redis.get(this.#keys.apiKeyUse(organization, uid)))
    return at === null ? undefined : Number(at)
  }
}
