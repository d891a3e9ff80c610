import type { Message, RoutedMessage, StoredMessage } from '../aedes/messages.ts'
import type { Limits } from '../limits.ts'
import type { BrokerMetrics } from '../metrics.ts'
import type { SessionOwner, SessionPersistence } from '../persistence/session-persistence.ts'
import type { Packet } from '../wire/packets.ts'
import type { DeliveryTerms, Qos } from './subscriptions.ts'

/** What a delivery needs of its connection. */
export interface DeliveryTarget {
  /** False when the client would not accept a packet of that size; `messageId` is 0 for QoS 0. */
  sendPublish(message: Message, terms: DeliveryTerms, messageId: number, dup: boolean): boolean
  send(packet: Packet): boolean
  /** Bytes that the client has not taken. */
  readonly pending: number
  end(cause: 'too-slow' | 'unavailable'): void
}

export interface DeliveryOptions {
  readonly target: DeliveryTarget
  readonly limits: Limits
  /** The client's Receive Maximum (MQTT 5 §3.1.2.11.3). */
  readonly receiveMaximum: number
  readonly metrics: BrokerMetrics
  /** Where messages above QoS 0 wait for this client; absent for a session that ends with the connection. */
  readonly queue?: { readonly persistence: SessionPersistence; readonly owner: SessionOwner }
}

interface Outgoing {
  readonly message: Message
  readonly terms: DeliveryTerms
  /** Set when the message also waits in the session's queue. */
  readonly stored?: { readonly brokerId: string; readonly brokerCounter: number }
}

/**
 * Sends messages to one client: QoS 0 at once, above that within the client's window, in order, each until it
 * is acknowledged (MQTT 5 §4.3, §4.9).
 */
export class Delivery {
  readonly #options: DeliveryOptions
  readonly #window: number
  readonly #inflight = new Map<number, Outgoing | 'pubrel'>()
  #waiting: Outgoing[] = []
  #nextId = 1
  /** Runs one step of the session's queue after the other. */
  #steps: Promise<unknown> = Promise.resolve()
  /** Names of messages that went out while the queue of a resumed session is being emptied. */
  #replayed: Set<string> | undefined

  constructor(options: DeliveryOptions) {
    this.#options = options
    this.#window = Math.min(options.receiveMaximum, options.limits.maxInflight)
  }

  /** A message that matched a subscription just now. */
  live(message: RoutedMessage, terms: DeliveryTerms): void {
    if (terms.qos === 0) return this.#sendNow(message, terms)
    if (!this.#isFirst(message)) return
    const { brokerId, brokerCounter } = message
    const stored = this.#options.queue === undefined ? {} : { stored: { brokerId, brokerCounter } }
    this.#enqueue({ message, terms, ...stored })
  }

  /** A retained message for a new subscription: no queue holds it for this client. */
  retained(message: Message, qos: Qos): void {
    const terms = { qos, retain: true }
    if (qos === 0) this.#sendNow(message, terms)
    else this.#enqueue({ message, terms })
  }

  /**
   * Sends what waited while the client was away, oldest first. `termsFor` says how each goes now, or that it no
   * longer does.
   */
  async replay(termsFor: (message: StoredMessage) => DeliveryTerms | undefined): Promise<void> {
    const { queue } = this.#options
    if (queue === undefined) return
    this.#replayed = new Set()
    try {
      for await (const message of queue.persistence.outgoingStream(queue.owner)) {
        if (message.cmd === 'pubrel') this.#resumeRelease(message)
        else await this.#replayOne(message, termsFor(message))
      }
    } finally {
      this.#replayed = undefined
    }
  }

  /** PUBACK, or PUBCOMP for the last step of QoS 2. False for a packet id that is not under way. */
  acknowledged(messageId: number): boolean {
    const outgoing = this.#inflight.get(messageId)
    if (outgoing === undefined) return false
    this.#inflight.delete(messageId)
    if (outgoing === 'pubrel' || outgoing.stored !== undefined) this.#forget(messageId)
    this.#fillWindow()
    return true
  }

  /** PUBREC: from here on the message itself is not sent again [MQTT-4.3.3-4]. */
  received(messageId: number): boolean {
    const outgoing = this.#inflight.get(messageId)
    if (outgoing === undefined) return false
    const { queue } = this.#options
    this.#inflight.set(messageId, 'pubrel')
    if (queue !== undefined && outgoing !== 'pubrel' && outgoing.stored !== undefined) {
      const release = { cmd: 'pubrel' as const, messageId, ...outgoing.stored }
      this.#step(() => queue.persistence.outgoingUpdate(queue.owner, release))
    }
    return true
  }

  #enqueue(outgoing: Outgoing): void {
    if (this.#waiting.length >= this.#options.limits.maxWaiting) return this.#options.target.end('too-slow')
    this.#waiting.push(outgoing)
    this.#fillWindow()
  }

  #fillWindow(): void {
    while (this.#inflight.size < this.#window) {
      const outgoing = this.#waiting.shift()
      if (outgoing === undefined) return
      const messageId = this.#takeId()
      this.#inflight.set(messageId, outgoing)
      this.#sendTracked(outgoing, messageId)
    }
  }

  #sendTracked(outgoing: Outgoing, messageId: number): void {
    const { queue } = this.#options
    const { message, terms, stored } = outgoing
    if (queue === undefined || stored === undefined) return this.#sendPublish(outgoing, messageId)
    const update = { ...message, ...stored, cmd: 'publish' as const, qos: terms.qos, messageId }
    // The queue learns the packet id first, or an early PUBACK would find nothing to clear.
    this.#step(async () => {
      await queue.persistence.outgoingUpdate(queue.owner, update)
      this.#sendPublish(outgoing, messageId)
    })
  }

  #sendPublish({ message, terms }: Outgoing, messageId: number): void {
    const isSent = this.#options.target.sendPublish(message, terms, messageId, false)
    this.#options.metrics.delivered(terms.qos)
    // MQTT 5 §3.1.2.11.4: one too large for the client counts as delivered.
    if (!isSent) this.acknowledged(messageId)
  }

  #sendNow(message: Message, terms: DeliveryTerms): void {
    const { target, limits, metrics } = this.#options
    if (target.pending > limits.dropAboveBytes) return metrics.dropped('slow-consumer')
    if (target.sendPublish(message, terms, 0, false)) metrics.delivered(0)
  }

  async #replayOne(message: StoredMessage, terms: DeliveryTerms | undefined): Promise<void> {
    const { queue } = this.#options
    if (queue === undefined || !this.#isFirst(message)) return
    const { brokerId, brokerCounter } = message
    if (terms === undefined || terms.qos === 0) {
      const messageId = this.#takeId()
      await queue.persistence.outgoingUpdate(queue.owner, { ...message, messageId })
      await queue.persistence.outgoingClearMessageId(queue.owner, { messageId })
      if (terms !== undefined) this.#sendNow(message as Message, terms)
      return
    }
    this.#enqueue({ message: message as Message, terms, stored: { brokerId, brokerCounter } })
  }

  #resumeRelease({ messageId }: StoredMessage): void {
    if (messageId === undefined) return
    this.#inflight.set(messageId, 'pubrel')
    this.#options.target.send({ cmd: 'pubrel', messageId })
  }

  #forget(messageId: number): void {
    const { queue } = this.#options
    if (queue !== undefined) {
      this.#step(() => queue.persistence.outgoingClearMessageId(queue.owner, { messageId }))
    }
  }

  /** While a queue is emptied, a message may come from it and live. */
  #isFirst({ brokerId, brokerCounter }: { brokerId: string; brokerCounter: number }): boolean {
    if (this.#replayed === undefined) return true
    const name = `${brokerId}:${brokerCounter}`
    if (this.#replayed.has(name)) return false
    this.#replayed.add(name)
    return true
  }

  #step(step: () => Promise<unknown>): void {
    this.#steps = this.#steps.then(step).catch(() => this.#options.target.end('unavailable'))
  }

  #takeId(): number {
    while (this.#inflight.has(this.#nextId)) this.#nextId = (this.#nextId % 65_535) + 1
    const id = this.#nextId
    this.#nextId = (id % 65_535) + 1
    return id
  }
}
