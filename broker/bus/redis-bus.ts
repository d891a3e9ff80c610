import { randomBytes } from 'node:crypto'
import type { Redis } from 'ioredis'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { errorFields, type Log } from '#core/process/logger.ts'
import { fromRedis } from '#core/stores/redis-connection.ts'
import type { RedisKeys } from '#core/stores/redis-keys.ts'
import type { RoutedMessage } from '../aedes/messages.ts'
import type { Bus, Leave } from './bus.ts'
import { decodeBatch, encodeBatch, senderBytes } from './frames.ts'

export interface RedisBusOptions {
  readonly publisher: Redis
  /** Used for nothing else: it is in subscriber mode. */
  readonly subscriber: Redis
  readonly keys: RedisKeys
  readonly log: Log
  /** Told of what is no batch of ours. */
  readonly onForeignData?: () => void
}

/** One channel per organization; what is sent within one turn of the event loop is one PUBLISH. */
export class RedisBus implements Bus {
  readonly replica: string
  readonly #sender = randomBytes(senderBytes)
  readonly #options: RedisBusOptions
  readonly #receivers = new Map<string, (message: RoutedMessage) => void>()
  readonly #outboxes = new Map<OrganizationId, Outbox>()

  constructor(options: RedisBusOptions) {
    this.#options = options
    this.replica = this.#sender.toString('hex')
    options.subscriber.on('messageBuffer', (channel: Buffer, bytes: Buffer) =>
      this.#received(channel.toString(), bytes),
    )
  }

  async join(organization: OrganizationId, receive: (message: RoutedMessage) => void): Promise<Leave> {
    const channel = this.#channel(organization)
    this.#receivers.set(channel, receive)
    const leave = (): void => this.#leave(organization, receive)
    try {
      await fromRedis(() => this.#options.subscriber.subscribe(channel))
    } catch (error) {
      leave()
      throw error
    }
    return leave
  }

  #leave(organization: OrganizationId, receive: (message: RoutedMessage) => void): void {
    const channel = this.#channel(organization)
    if (this.#receivers.get(channel) !== receive) return
    this.#receivers.delete(channel)
    this.#outboxes.delete(organization)
    // Away, Redis has forgotten the subscription already.
    this.#options.subscriber.unsubscribe(channel).catch(() => {})
  }

  send(organization: OrganizationId, message: RoutedMessage): Promise<void> {
    let outbox = this.#outboxes.get(organization)
    if (outbox === undefined) {
      outbox = new Outbox((sequence, messages) => this.#publish(organization, sequence, messages))
      this.#outboxes.set(organization, outbox)
    }
    return outbox.add(message)
  }

  async #publish(organization: OrganizationId, sequence: number, messages: RoutedMessage[]): Promise<void> {
    const batch = encodeBatch(this.#sender, sequence, messages)
    await fromRedis(() => this.#options.publisher.publish(this.#channel(organization), batch))
  }

  #received(channel: string, bytes: Buffer): void {
    const receive = this.#receivers.get(channel)
    if (receive === undefined) return
    const batch = decodeBatch(bytes)
    if (batch === undefined) {
      this.#options.onForeignData?.()
      this.#options.log.warn(
        { channel, bytes: bytes.length },
        'something that is no batch came over a channel',
      )
      return
    }
    if (batch.sender === this.replica) return
    for (const message of batch.messages) {
      try {
        receive(message)
      } catch (error) {
        this.#options.log.error(
          { channel, ...errorFields(error) },
          'a message of another replica was not delivered',
        )
      }
    }
  }

  #channel(organization: OrganizationId): string {
    return `${this.#options.keys.messaging(organization)}bus`
  }
}

/** Gathers what one turn of the event loop sends; all of it shares one answer. */
class Outbox {
  readonly #flush: (sequence: number, messages: RoutedMessage[]) => Promise<void>
  #messages: RoutedMessage[] = []
  #sent: Promise<void> = Promise.resolve()
  #sequence = 0

  constructor(flush: (sequence: number, messages: RoutedMessage[]) => Promise<void>) {
    this.#flush = flush
  }

  add(message: RoutedMessage): Promise<void> {
    this.#messages.push(message)
    if (this.#messages.length === 1) {
      this.#sent = new Promise((resolve, reject) => {
        setImmediate(() => {
          const messages = this.#messages
          this.#messages = []
          this.#sequence += 1
          this.#flush(this.#sequence, messages).then(resolve, reject)
        })
      })
    }
    return this.#sent
  }
}
