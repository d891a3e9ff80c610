import type { Redis } from 'ioredis'
import {
  type CredentialRecord,
  CredentialRecordSchema,
  type IssuedCredential,
} from '#core/credentials/credential-record.ts'
import { DomainError } from '#core/errors.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { ControlLogWriter } from './control-log.ts'
import type { CredentialReader, CredentialStore } from './credential-store.ts'
import { recordCodec } from './record-codec.ts'
import { fromRedis } from './redis-connection.ts'
import type { RedisKeys } from './redis-keys.ts'
import { redisScript } from './redis-script.ts'

const codec = recordCodec('credential', CredentialRecordSchema)

// Redis' own time, so that no pod's clock lengthens a life; the key's expiry and the text agree to the ms.
const createCredential = redisScript(`
if redis.call('EXISTS', KEYS[1]) == 1 then return false end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expires = now + ARGV[1] * 1000
local head = string.format('%.0f %.0f', now, expires)
redis.call('SET', KEYS[1], head .. ' ' .. ARGV[2], 'PXAT', string.format('%.0f', expires))
return head`)

export class RedisCredentialReader implements CredentialReader {
  protected readonly redis: Redis
  protected readonly keys: RedisKeys

  constructor(redis: Redis, keys: RedisKeys) {
    this.redis = redis
    this.keys = keys
  }

  async get(organization: OrganizationId, local: string): Promise<IssuedCredential | undefined> {
    const text = await fromRedis(() => this.redis.get(this.keys.credential(organization, local)))
    return text === null ? undefined : decode(text)
  }
}

export class RedisCredentialStore extends RedisCredentialReader implements CredentialStore {
  readonly #log: ControlLogWriter

  constructor(redis: Redis, keys: RedisKeys, log: ControlLogWriter) {
    super(redis, keys)
    this.#log = log
  }

  async create(
    organization: OrganizationId,
    local: string,
    record: CredentialRecord,
    ttlSeconds: number,
  ): Promise<IssuedCredential> {
    const key = this.keys.credential(organization, local)
    const text = codec.encode(record)
    const head = await fromRedis(() => createCredential(this.redis, [key], [ttlSeconds, text]))
    if (typeof head !== 'string') {
      throw new DomainError('credential-exists', 'the username of the new credential is taken')
    }
    return decode(`${head} ${text}`)
  }

  async revoke(organization: OrganizationId, local: string): Promise<boolean> {
    const removed = await fromRedis(() => this.redis.del(this.keys.credential(organization, local)))
    await this.#log.append({ type: 'credential', organization, name: local })
    return removed === 1
  }
}

const shape = /^(\d{1,15}) (\d{1,15}) (.*)$/s

function decode(text: string): IssuedCredential {
  const [, issuedAt, expiresAt, record] = shape.exec(text) ?? []
  return { ...codec.decode(record ?? ''), issuedAt: Number(issuedAt), expiresAt: Number(expiresAt) }
}
