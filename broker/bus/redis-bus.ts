import { randomBytes } from 'node:crypto'
import type { Cluster, Redis } from 'ioredis'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { errorFields, type Log } from '#core/process/logger.ts'
import type { RedisKeys } from '#core/stores/redis-keys.ts'
import type { RoutedMessage } from '../aedes/messages.ts'
import type { Bus, IsServedElsewhere, Leave, Lost, Receive } from './bus.ts'
import { type Channels, openChannels } from './channels.ts'
import { Following } from './following.ts'
import {
  type Ask,
  batchNumber,
  decodeFrame,
  encodeAnswer,
  encodeAsk,
  encodeHead,
  type HeadPurpose,
  isFrameOf,
  senderBytes,
} from './frames.ts'
import { Outbox } from './outbox.ts'
import type { RingLimits } from './sent-batches.ts'

export interface RedisBusOptions {
  readonly publisher: Redis | Cluster
  /** Used for nothing else: it is in subscriber mode. */
  readonly subscriber: Redis | Cluster
  readonly keys: RedisKeys
  readonly log: Log
  readonly metrics?: BusMetrics
  readonly ring?: Partial<RingLimits>
}

export interface BusMetrics {
  /** What came over a channel and was no frame of ours. */
  foreignData(): void
  /** The subscriber's connection was lost and is back. */
  interrupted(): void
  /** Batches were missed and asked for. */
  asked(): void
  /** Batches that nobody has any more. */
  lost(batches: number): void
}

const defaultRing: RingLimits = { maxBytes: 16_777_216, maxTotalBytes: 134_217_728, maxAgeMs: 60_000 }
const announceMs = 1_000

/**
 * One channel per organization, and one per replica for what concerns it alone. Pub/sub forgets what it could
 * not deliver: every sender keeps its last batches, receivers see from the numbers what they missed and ask for
 * it. That the last ones are missing shows in the numbers that are told a second after them, and after a
 * connection was lost.
 */
export class RedisBus implements Bus {
  readonly replica: string
  readonly #sender = randomBytes(senderBytes)
  readonly #options: RedisBusOptions
  readonly #limits: RingLimits
  readonly #channels: Channels
  readonly #inbox: string
  readonly #followings = new Map<OrganizationId, Following>()
  readonly #byChannel = new Map<string, Following>()
  readonly #outboxes = new Map<OrganizationId, Outbox>()
  readonly #ringTotal = { bytes: 0 }
  readonly #timer: NodeJS.Timeout
  /** Highest number that an outbox had which is no more: a number is never used twice. */
  #lastNumber = 0
  /** The subscriber's connection is a new one, and not all channels are subscribed on it. */
  #mustResume = true
  #isResuming = false

  constructor(options: RedisBusOptions) {
    this.#options = options
    this.#limits = { ...defaultRing, ...options.ring }
    this.replica = this.#sender.toString('hex')
    this.#inbox = options.keys.busInbox(this.replica)
    this.#channels = openChannels(options.publisher, options.subscriber, {
      received: (channel, bytes) => this.#received(channel, bytes),
      left: () => this.#left(),
      returned: () => this.#returned(),
    })
    this.#timer = setInterval(() => this.#tick(), announceMs)
    this.#timer.unref()
    this.#resume()
  }

  async join(
    organization: OrganizationId,
    receive: Receive,
    lost: Lost = () => {},
    isServedElsewhere: IsServedElsewhere = async () => true,
  ): Promise<Leave> {
    const { metrics } = this.#options
    const following = new Following({
      organization,
      receive: (message) => this.#deliver(organization, receive, message),
      lost: (batches) => {
        if (batches > 0) {
          metrics?.lost(batches)
          this.#options.log.warn({ organization, batches }, 'messages of another replica are lost')
        }
        lost(batches)
      },
      ask: (sender, sequence, last, age) => {
        metrics?.asked()
        const ask = encodeAsk(this.#sender, { sequence, last, age, organization })
        this.#tell(this.#options.keys.busInbox(sender), ask)
      },
      isServedElsewhere,
      now: () => performance.now(),
    })
    this.#followings.get(organization)?.close()
    this.#followings.set(organization, following)
    const channel = this.#channel(organization)
    this.#byChannel.set(channel, following)
    const leave = (): void => this.#leave(organization, following)
    try {
      await this.#channels.subscribe([channel])
      following.started()
      const receivers = await this.#publishHead(organization, 'ask')
      // This replica is one of them.
      await following.greeted((receivers ?? 1) - 1)
    } catch (error) {
      leave()
      throw error
    }
    return leave
  }

  isCutOff(organization: OrganizationId): boolean {
    return this.#followings.get(organization)?.isInterrupted === true
  }

  send(organization: OrganizationId, message: RoutedMessage): Promise<void> | undefined {
    if (this.#followings.get(organization)?.solitude.isCertain === true) return undefined
    let outbox = this.#outboxes.get(organization)
    if (outbox === undefined) {
      outbox = new Outbox({
        sender: this.#sender,
        after: this.#lastNumber,
        limits: this.#limits,
        total: this.#ringTotal,
        publish: (batch, sequence) => this.#publishBatch(organization, batch, sequence),
        now: () => performance.now(),
      })
      this.#outboxes.set(organization, outbox)
    }
    return outbox.add(message)
  }

  /** Its connections stay open: they belong to who opened them. */
  close(): void {
    clearInterval(this.#timer)
    for (const following of this.#followings.values()) following.close()
    this.#followings.clear()
    this.#byChannel.clear()
  }

  #leave(organization: OrganizationId, following: Following): void {
    following.close()
    if (this.#followings.get(organization) !== following) return
    const channel = this.#channel(organization)
    this.#followings.delete(organization)
    this.#byChannel.delete(channel)
    this.#channels.unsubscribe(channel)
  }

  #received(channel: string, bytes: Buffer): void {
    const following = this.#byChannel.get(channel)
    if (following === undefined && channel !== this.#inbox) return
    if (isFrameOf(this.#sender, bytes)) {
      const sequence = batchNumber(bytes)
      if (sequence !== undefined) following?.solitude.cameBack(sequence)
      return
    }
    const frame = decodeFrame(bytes)
    if (frame === undefined) {
      this.#options.metrics?.foreignData()
      this.#options.log.warn(
        { channel, bytes: bytes.length },
        'something that is no batch came over a channel',
      )
      return
    }
    if (frame.kind === 'batch') following?.received(frame, bytes.length)
    else if (frame.kind === 'ask') this.#answer(frame)
    else if (frame.kind === 'answer') this.#followings.get(frame.organization)?.answered(frame)
    else if (following !== undefined) {
      following.announced(frame)
      if (frame.purpose === 'ask') this.#publishHead(following.organization, 'answer').catch(() => {})
    }
  }

  #deliver(organization: OrganizationId, receive: Receive, message: RoutedMessage): void {
    try {
      receive(message)
    } catch (error) {
      this.#options.log.error(
        { organization, ...errorFields(error) },
        'a message of another replica was not delivered',
      )
    }
  }

  #answer(ask: Ask): void {
    const { organization, sequence, last } = ask
    const found = this.#outboxes.get(organization)?.find(ask) ?? {
      sequence: last + 1,
      lost: sequence === 0 ? 0 : last + 1 - sequence,
      batches: [],
    }
    this.#tell(
      this.#options.keys.busInbox(ask.sender),
      encodeAnswer(this.#sender, { organization, ...found }),
    )
  }

  #left(): void {
    for (const following of this.#followings.values()) following.interrupted()
  }

  #returned(): void {
    for (const following of this.#followings.values()) following.interrupted()
    if (this.#followings.size > 0) this.#options.metrics?.interrupted()
    this.#mustResume = true
    this.#resume()
  }

  /** Subscribes everything again and asks every sender for its last number. Until that is done it is tried again. */
  #resume(): void {
    if (this.#isResuming) return
    this.#isResuming = true
    this.#subscribeAll().then(
      () => {
        this.#isResuming = false
        if (this.#mustResume) this.#resume()
      },
      () => {
        this.#isResuming = false
        this.#mustResume = true
      },
    )
  }

  async #subscribeAll(): Promise<void> {
    this.#mustResume = false
    const followings = [...this.#followings.values()].filter((following) => following.isInterrupted)
    const organizations = [...this.#followings.keys()]
    const channels = organizations.map((organization) => this.#channel(organization))
    await this.#channels.subscribe([this.#inbox, ...channels])
    await Promise.all(organizations.map((organization) => this.#publishHead(organization, 'ask')))
    for (const following of followings) following.resumed()
  }

  #tick(): void {
    if (this.#mustResume) this.#resume()
    for (const following of this.#followings.values()) following.forgetSilent()
    for (const [organization, outbox] of this.#outboxes) {
      outbox.prune()
      // Who has left hears no question: what it still keeps is announced until it is forgotten.
      const hasLeft = !this.#followings.has(organization)
      if (!outbox.isIdle && (hasLeft || !outbox.isAnnounced)) this.#announce(organization, outbox)
      if (outbox.isIdle && hasLeft) {
        this.#outboxes.delete(organization)
        this.#lastNumber = Math.max(this.#lastNumber, outbox.sequence)
      }
    }
  }

  #announce(organization: OrganizationId, outbox: Outbox): void {
    const { sequence } = outbox
    this.#publishHead(organization, 'tell').then(
      () => {
        if (outbox.sequence === sequence) outbox.isAnnounced = true
      },
      () => {},
    )
  }

  async #publishBatch(organization: OrganizationId, batch: Buffer, sequence: number): Promise<void> {
    const solitude = this.#followings.get(organization)?.solitude
    const sentAt = performance.now()
    const receivers = await this.#channels.publish(this.#channel(organization), batch)
    solitude?.received(sequence, sentAt, receivers)
  }

  #publishHead(organization: OrganizationId, purpose: HeadPurpose): Promise<number | undefined> {
    const sequence = this.#outboxes.get(organization)?.sequence ?? this.#lastNumber
    return this.#channels.publish(this.#channel(organization), encodeHead(this.#sender, sequence, purpose))
  }

  /** Who asks, asks again when no answer comes. */
  #tell(channel: string, bytes: Buffer): void {
    this.#channels.publish(channel, bytes).catch(() => {})
  }

  #channel(organization: OrganizationId): string {
    return `${this.#options.keys.messaging(organization)}bus`
  }
}
