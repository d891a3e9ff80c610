import type { Redis } from 'ioredis'
import { parseOrganizationId } from '#core/organizations/organization-id.ts'
import {
  type ControlEntry,
  controlEntryTypes,
  type ControlLog,
  type ControlLogHandler,
  type ControlLogSubscription,
} from './control-log.ts'
import { fromRedis } from './redis-connection.ts'
import type { RedisKeys } from './redis-keys.ts'

const longestLog = 100_000
const blockMs = 1_000
const pauseMs = 250
const entriesPerRead = 500

export class RedisControlLog implements ControlLog {
  readonly #redis: Redis
  readonly #key: string

  constructor(redis: Redis, keys: RedisKeys) {
    this.#redis = redis
    this.#key = keys.control
  }

  async append({ type, organization, name }: ControlEntry): Promise<void> {
    await fromRedis(() =>
      this.#redis.xadd(
        this.#key,
        'MAXLEN',
        '~',
        longestLog,
        '*',
        'type',
        type,
        'organization',
        organization,
        'name',
        name,
      ),
    )
  }

  async follow(handler: ControlLogHandler): Promise<ControlLogSubscription> {
    const from = await fromRedis(() => lastId(this.#redis, this.#key))
    // A connection of its own: XREAD blocks it.
    const follower = new Follower(this.#redis.duplicate(), this.#key, from, handler)
    return follower.start()
  }
}

/** Reads on from the last id it saw; after a cut it first looks whether what follows that id is still there. */
class Follower {
  readonly #redis: Redis
  readonly #key: string
  readonly #handler: ControlLogHandler
  #from: string
  #readAt = performance.now()
  #mustCheck = false
  #closed = false

  constructor(redis: Redis, key: string, from: string, handler: ControlLogHandler) {
    this.#redis = redis
    this.#key = key
    this.#from = from
    this.#handler = handler
    redis.on('error', () => {
      this.#mustCheck = true
    })
    redis.on('close', () => {
      this.#mustCheck = true
    })
  }

  start(): ControlLogSubscription {
    const ended = this.#run()
    return {
      staleness: () => performance.now() - this.#readAt,
      close: async () => {
        this.#closed = true
        this.#redis.disconnect()
        await ended
      },
    }
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      try {
        if (this.#mustCheck) await this.#check()
        const isIdle = !(await this.#read())
        // The log may have been emptied under an open connection.
        if (isIdle) await this.#check()
        this.#readAt = performance.now()
      } catch {
        this.#mustCheck = true
        if (!this.#closed) await new Promise((resolve) => setTimeout(resolve, pauseMs))
      }
    }
  }

  async #read(): Promise<boolean> {
    const answer = await this.#redis.xread(
      'COUNT',
      entriesPerRead,
      'BLOCK',
      blockMs,
      'STREAMS',
      this.#key,
      this.#from,
    )
    const entries = answer?.[0]?.[1] ?? []
    for (const [id, fields] of entries) {
      const entry = entryOf(fields ?? [])
      // What can not be read may have been a revocation.
      if (entry === undefined) this.#handler.gap()
      else this.#handler.entry(entry)
      this.#from = id
    }
    return entries.length > 0
  }

  async #check(): Promise<void> {
    const bounds = await boundsOf(this.#redis, this.#key)
    this.#mustCheck = false
    if (bounds.last === this.#from) return
    if (isBefore(bounds.last, this.#from)) {
      // The log was emptied and began anew.
      this.#from = '0-0'
      this.#handler.gap()
    } else if (this.#from !== '0-0' && (bounds.first === undefined || isBefore(this.#from, bounds.first))) {
      this.#handler.gap()
    }
  }
}

async function lastId(redis: Redis, key: string): Promise<string> {
  return (await boundsOf(redis, key)).last
}

/** Ids of the oldest entry, if any, and of the newest one ever; `0-0` for a log that is not there. */
async function boundsOf(redis: Redis, key: string): Promise<{ first?: string; last: string }> {
  const info = await redis.xinfo('STREAM', key).catch((error: Error) => {
    if (error.message.includes('no such key')) return []
    throw error
  })
  const fields = info as unknown[]
  const field = (name: string): unknown => fields[fields.indexOf(name) + 1]
  if (fields.length === 0) return { last: '0-0' }
  const first = field('first-entry') as [string] | null
  return { ...(first === null ? {} : { first: first[0] }), last: String(field('last-generated-id')) }
}

function isBefore(left: string, right: string): boolean {
  const [leftTime = 0, leftCount = 0] = left.split('-').map(Number)
  const [rightTime = 0, rightCount = 0] = right.split('-').map(Number)
  return leftTime === rightTime ? leftCount < rightCount : leftTime < rightTime
}

/** Undefined for what is no entry of ours. */
function entryOf(fields: readonly string[]): ControlEntry | undefined {
  const values = new Map<string, string>()
  for (let index = 0; index + 1 < fields.length; index += 2) {
    values.set(fields[index] ?? '', fields[index + 1] ?? '')
  }
  const organization = parseOrganizationId(values.get('organization') ?? '')
  const type = controlEntryTypes.find((each) => each === values.get('type'))
  const name = values.get('name')
  return organization === undefined || type === undefined || name === undefined
    ? undefined
    : { type, organization, name }
}
