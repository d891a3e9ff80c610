import type { Cluster, Redis } from 'ioredis'
import type { Message, RoutedMessage } from '../aedes/messages.ts'
import { messageExpiry } from '../wire/message-expiry.ts'
import type { WritePromised } from './replicated-writes.ts'
import { findRetained, storeRetained } from './retained-scripts.ts'
import { RetainedQuotaError } from './session-persistence.ts'
import { decodeMessage, encodeMessage, unexpired } from './stored-message.ts'

/** Of one call, so that nobody else waits long for Redis: about a millisecond. */
const costPerPage = 100_000
const bytesPerPage = 262_144
const storedAtBytes = 8

/** The retained messages of one organization in Redis. */
export class RedisRetained {
  readonly #redis: Redis | Cluster
  readonly #prefix: string
  readonly #write: WritePromised
  /** Pages after the first: one at a time, however many search. Most searches have only a first one. */
  #furtherPage: Promise<unknown> = Promise.resolve()

  constructor(redis: Redis | Cluster, prefix: string, write: WritePromised) {
    this.#redis = redis
    this.#prefix = prefix
    this.#write = write
  }

  async store(message: RoutedMessage, most: number): Promise<void> {
    const { topic, payload, properties } = message
    const body = payload.length === 0 ? '' : encodeMessage(message)
    const limit = Number.isFinite(most) ? most : Number.MAX_SAFE_INTEGER
    const expiry = messageExpiry(properties) ?? ''
    const values = [topic, body, limit, expiry]
    const write = (redis: Redis | Cluster) => storeRetained(redis, this.#prefix, values)
    // At QoS 0 nobody waits for it.
    const stored = message.qos === 0 ? write(this.#redis) : this.#write({ write })
    if ((await stored) === 0) throw new RetainedQuotaError()
  }

  async *find(filters: readonly string[]): AsyncGenerator<Message> {
    const seen = new Set<string>()
    for (const filter of filters) {
      for await (const message of this.#findOne(filter)) {
        if (seen.has(message.topic)) continue
        if (filters.length > 1) seen.add(message.topic)
        yield message
      }
    }
  }

  async *#findOne(filter: string): AsyncGenerator<Message> {
    const levels = filter.split('/')
    let from: Buffer | '' = ''
    do {
      const [now, next, ...bodies] = await this.#page(from, levels)
      for (const body of bodies) {
        const message = decodeMessage(body.subarray(storedAtBytes))
        const left = message && unexpired(message, body.readDoubleBE(0), Number(now?.toString()))
        if (left !== undefined) yield left
      }
      from = next === undefined || next.length === 0 ? '' : next
    } while (from !== '')
  }

  #page(from: Buffer | '', levels: readonly string[]): Promise<Buffer[]> {
    const values = [from, costPerPage, bytesPerPage, ...levels]
    const read = () => findRetained(this.#redis, this.#prefix, values) as Promise<Buffer[]>
    if (from === '') return read()
    const page = this.#furtherPage.then(read)
    this.#furtherPage = page.catch(() => {})
    return page
  }
}
