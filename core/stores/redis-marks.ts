import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { Marks } from './marks.ts'
import { fromRedis, type RedisConnection } from './redis-connection.ts'
import type { RedisKeys } from './redis-keys.ts'

export class RedisMarks implements Marks {
  readonly #redis: RedisConnection
  readonly #keys: RedisKeys

  constructor(redis: RedisConnection, keys: RedisKeys) {
    this.#redis = redis
    this.#keys = keys
  }

  async put(organization: OrganizationId, name: string, seconds: number): Promise<void> {
    await fromRedis(() => this.#redis.set(this.#keys.mark(organization, name), '', 'EX', seconds))
  }

  async has(organization: OrganizationId, name: string): Promise<boolean> {
    return (await fromRedis(() => this.#redis.exists(this.#keys.mark(organization, name)))) === 1
  }
}
