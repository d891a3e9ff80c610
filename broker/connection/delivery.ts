import type { Message, RoutedMessage } from '../aedes/messages.ts'
import { groupOfCopy } from '../persistence/group.ts'
import { messageName, type QueuedMessage, type SentMessage } from '../persistence/session-persistence.ts'
import type { DeliveryOptions } from './delivery-options.ts'
import { SessionQueue, type SessionQueueOptions } from './session-queue.ts'
import type { DeliveryTerms, Qos } from './subscriptions.ts'
import { WaitingList } from './waiting-list.ts'

interface Outgoing {
  readonly message: Message
  readonly terms: DeliveryTerms
  /** Its name in the session's queue, when it is in there. */
  readonly name?: string
  /** Set when it was sent before, on another connection. */
  readonly messageId?: number
  readonly deadline?: number
}

/** What is on its way to the client. */
class Tracked {
  readonly inflight = new Map<number, Outgoing | 'released'>()
  /** Names of released messages, by packet id. */
  readonly released = new Map<number, string | undefined>()
  readonly waiting: WaitingList<Outgoing>
  /** Names of what is waiting or under way. */
  readonly names = new Set<string>()
  /** Packet ids of messages of the queue that were sent before and are not read yet. */
  readonly reserved = new Set<number>()

  constructor(expired: (outgoing: Outgoing) => void) {
    this.waiting = new WaitingList(expired)
  }
}

/** A session with more than this waiting here reads on from its queue. */
const mostWaitingOfQueue = 1_000
const messagesPerPage = 200
const retryMs = 20

/**
 * Sends messages to one client: QoS 0 at once, above that within the client's window, in order, each until it
 * is acknowledged (MQTT 5 §4.3, §4.9). Waits while the client does not take what was sent.
 */
export class Delivery {
  readonly #options: DeliveryOptions
  readonly #window: number
  #queue: SessionQueue | undefined
  /** Otherwise what comes live is not in the queue: that holds copies that came by groups only. */
  readonly #isAllQueued: boolean
  /** Made for who is given something: many only publish. */
  #tracked: Tracked | undefined
  #nextId = 1
  #unsentBytes = 0
  #isFilling = false
  #isStarted = false
  #isClosed = false
  #retry: NodeJS.Timeout | undefined
  #room: PromiseWithResolvers<void> | undefined

  constructor(options: DeliveryOptions) {
    this.#options = options
    this.#window = Math.min(options.receiveMaximum, options.limits.maxInflight)
    this.#isAllQueued = options.queue !== undefined
    if (options.queue !== undefined) this.useQueue(options.queue)
  }

  /** From now on there is a queue to look into. */
  useQueue(queue: SessionQueueOptions): void {
    this.#queue ??= new SessionQueue(queue, () => this.#options.target.end('unavailable'))
  }

  /** A message that matched a subscription just now. */
  live(message: RoutedMessage, terms: DeliveryTerms): void {
    if (terms.qos === 0) return this.#sendNow(message, terms)
    if (this.#queue === undefined || !this.#isAllQueued) return this.#enqueue({ message, terms })
    const name = messageName(message)
    if (!this.#queue.takesLive(name) || this.#all.names.has(name)) return this.#fillWindow()
    const { maxWaiting, dropAboveBytes } = this.#options.limits
    const most = Math.min(mostWaitingOfQueue, maxWaiting)
    if (this.#all.waiting.length >= most || this.#all.waiting.bytes > dropAboveBytes)
      return this.#fallBehind()
    this.#enqueue({ message, terms, name })
  }

  /** A retained message for a new subscription: no queue holds it for this client. */
  retained(message: Message, qos: Qos): void {
    const terms = { qos, retain: true }
    if (qos === 0) this.#sendNow(message, terms)
    else this.#enqueue({ message, terms })
  }

  /** The client has not acknowledged all that it is to get. */
  get isBusy(): boolean {
    const tracked = this.#tracked
    return tracked !== undefined && (tracked.waiting.length > 0 || tracked.inflight.size > 0)
  }

  /** Nothing is sent any more. */
  get isClosed(): boolean {
    return this.#isClosed
  }

  /** For who has much to send: resolves when there is room for more, or the connection has ended. */
  room(): Promise<void> | undefined {
    if (this.#hasRoom()) return undefined
    this.#room ??= Promise.withResolvers<void>()
    this.#retryLater()
    return this.#room.promise
  }

  /** From `start` on sends what waited while the client was away; `sent` are the packet ids that are taken. */
  resume(sent: readonly SentMessage[]): void {
    for (const { messageId } of sent) this.#all.reserved.add(messageId)
    this.#queue?.fallBehind()
  }

  /** CONNACK is sent: nothing is read from the queue before. */
  start(): void {
    this.#isStarted = true
    if (this.#queue !== undefined) void this.#readOn()
  }

  /** Of a session with a queue: whatever may not have come live is looked for there. */
  lookForMissed(): void {
    if (this.#queue !== undefined && !this.#isClosed) this.#fallBehind()
  }

  /** The same, where something was put behind what was read last. */
  lookForMore(): void {
    if (this.#queue === undefined || this.#isClosed) return
    this.#queue.more()
    this.#fillWindow()
  }

  /** Access has changed: what waits is sent as it says now, or not at all. */
  judgeAgain(): void {
    this.#tracked?.waiting.keep((outgoing) => {
      if (this.#termsFor(outgoing.message as RoutedMessage, outgoing.name) !== undefined) return true
      if (outgoing.name !== undefined) this.#forget(outgoing.name, 0)
      return false
    })
  }

  /** Whether this is what its message waits for (MQTT 5 §4.3); true of a packet id that is not under way. */
  awaits(cmd: 'puback' | 'pubrec' | 'pubcomp', messageId: number): boolean {
    const outgoing = this.#tracked?.inflight.get(messageId)
    if (outgoing === undefined) return true
    // A PUBREC that comes again is answered again.
    if (outgoing === 'released') return cmd !== 'puback'
    return cmd === (outgoing.terms.qos === 1 ? 'puback' : 'pubrec')
  }

  /** PUBACK, or PUBCOMP for the last step of QoS 2. False for a packet id that is not under way. */
  acknowledged(messageId: number): boolean {
    const outgoing = this.#tracked?.inflight.get(messageId)
    if (outgoing === undefined) return false
    this.#all.inflight.delete(messageId)
    const name = outgoing === 'released' ? this.#all.released.get(messageId) : outgoing.name
    this.#all.released.delete(messageId)
    if (name !== undefined) this.#forget(name, messageId)
    this.#fillWindow()
    return true
  }

  /**
   * PUBREC: from here on the message itself is not sent again [MQTT-4.3.3-4]. PUBREL goes out once that is
   * remembered. False for a packet id that is not under way.
   */
  received(messageId: number): boolean {
    const outgoing = this.#tracked?.inflight.get(messageId)
    if (outgoing === undefined) return false
    const release = (): void => this.#options.target.acknowledge('pubrel', messageId)
    if (outgoing === 'released' || outgoing.name === undefined || this.#queue === undefined) release()
    else this.#queue.write({ kind: 'received', name: outgoing.name, messageId }, release)
    if (outgoing !== 'released') this.#all.released.set(messageId, outgoing.name)
    this.#all.inflight.set(messageId, 'released')
    return true
  }

  /** Nothing is sent any more. Resolves once what the client acknowledged is remembered. */
  close(): Promise<void> | undefined {
    this.#isClosed = true
    clearTimeout(this.#retry)
    this.#tracked?.waiting.keep(() => false)
    this.#room?.resolve()
    return this.#queue?.close()
  }

  get #all(): Tracked {
    this.#tracked ??= new Tracked((outgoing) => this.#tooLate(outgoing))
    return this.#tracked
  }

  #enqueue(outgoing: Outgoing): void {
    const { maxWaiting, disconnectAboveBytes } = this.#options.limits
    if (this.#all.waiting.length >= maxWaiting || this.#all.waiting.bytes > disconnectAboveBytes) {
      return this.#options.target.end('too-slow')
    }
    this.#wait(outgoing)
    this.#fillWindow()
  }

  #wait(outgoing: Outgoing): void {
    if (outgoing.name !== undefined) this.#all.names.add(outgoing.name)
    this.#all.waiting.push(outgoing)
  }

  #tooLate({ name }: Outgoing): void {
    if (name !== undefined) this.#forget(name, 0)
  }

  /** What waits here is in the queue, and is read from there when its turn comes. */
  #fallBehind(): void {
    this.#all.waiting.keep(({ name }) => name === undefined || !this.#all.names.delete(name))
    this.#queue?.fallBehind()
    this.#fillWindow()
  }

  #fillWindow(): void {
    // One that is too large for the client is done at once, in the middle of this.
    if (this.#isFilling) return
    this.#isFilling = true
    try {
      while (this.#all.inflight.size < this.#window && !this.#isBlocked()) {
        const outgoing = this.#all.waiting.shift()
        if (outgoing === undefined) break
        this.#sendTracked(outgoing)
      }
    } finally {
      this.#isFilling = false
    }
    if (this.#isBlocked()) this.#retryLater()
    else if (this.#queue?.isBehind === true && this.#all.waiting.length < messagesPerPage) void this.#readOn()
    if (this.#room !== undefined && this.#hasRoom()) {
      this.#room.resolve()
      this.#room = undefined
    }
  }

  #sendTracked(outgoing: Outgoing): void {
    const { message, name } = outgoing
    const messageId = outgoing.messageId ?? this.#takeId()
    this.#all.reserved.delete(messageId)
    this.#all.inflight.set(messageId, outgoing)
    if (this.#queue === undefined) return this.#sendPublish(outgoing, messageId)
    this.#unsentBytes += message.payload.length
    // The queue learns the packet id first: after a crash a message of QoS 2 under another one is another one.
    const isNew = name !== undefined && outgoing.messageId === undefined
    this.#queue.write(isNew ? { kind: 'sent', name, messageId } : undefined, () => {
      this.#unsentBytes -= message.payload.length
      if (!this.#isClosed) this.#sendPublish(outgoing, messageId)
    })
  }

  #sendPublish({ message, terms, messageId: former }: Outgoing, messageId: number): void {
    const isSent = this.#options.target.sendPublish(message, terms, messageId, former !== undefined)
    this.#options.metrics.delivered(terms.qos)
    // MQTT 5 §3.1.2.11.4: one too large for the client counts as delivered.
    if (!isSent) this.acknowledged(messageId)
  }

  #sendNow(message: Message, terms: DeliveryTerms): void {
    const { target, limits, metrics } = this.#options
    if (target.pending > limits.dropAboveBytes) return metrics.dropped('slow-consumer')
    if (target.sendPublish(message, terms, 0, false)) metrics.delivered(0)
  }

  async #readOn(): Promise<void> {
    // Before, the subscriptions may not be there that say what is still wanted: the rest would be forgotten.
    if (!this.#isStarted) return
    const messages = await this.#queue?.read(messagesPerPage)
    if (messages === undefined || this.#isClosed) return
    for (const queued of messages) this.#takeQueued(queued)
    if (this.#queue?.isBehind === false) this.#freeReserved()
    this.#fillWindow()
  }

  /** All is read: ids of messages that are gone are free. */
  #freeReserved(): void {
    const taken = this.#all.waiting.messageIds
    for (const messageId of this.#all.reserved)
      if (!taken.has(messageId)) this.#all.reserved.delete(messageId)
  }

  #takeQueued({ name, message, messageId, isReleased }: QueuedMessage): void {
    if (this.#all.names.has(name)) return
    if (isReleased && messageId !== undefined) {
      this.#all.names.add(name)
      this.#all.reserved.delete(messageId)
      this.#all.inflight.set(messageId, 'released')
      this.#all.released.set(messageId, name)
      return this.#options.target.acknowledge('pubrel', messageId)
    }
    const terms = message && this.#termsFor(message, name)
    if (message === undefined || terms === undefined || terms.qos === 0) {
      this.#forget(name, messageId ?? 0)
      if (message !== undefined && terms !== undefined) this.#sendNow(message, terms)
      return
    }
    // One that was sent before keeps its packet id and its QoS [MQTT-4.4.0-1].
    const again = messageId === undefined ? {} : { messageId }
    const qos = messageId === undefined ? terms.qos : message.qos
    this.#wait({ message, terms: { ...terms, qos }, name, ...again })
  }

  #termsFor(message: RoutedMessage, name: string | undefined): DeliveryTerms | undefined {
    return this.#options.termsFor(message, name === undefined ? undefined : groupOfCopy(name))
  }

  #forget(name: string, messageId: number): void {
    this.#all.names.delete(name)
    this.#queue?.write({ kind: 'done', name, messageId })
  }

  #isBlocked(): boolean {
    return this.#options.target.pending + this.#unsentBytes > this.#options.limits.dropAboveBytes
  }

  #hasRoom(): boolean {
    return this.#isClosed || (this.#all.waiting.length < messagesPerPage && !this.#isBlocked())
  }

  #retryLater(): void {
    if (this.#isClosed) return
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined
      this.#fillWindow()
      if (this.#room !== undefined) this.#retryLater()
    }, retryMs).unref()
  }

  #takeId(): number {
    while (this.#all.inflight.has(this.#nextId) || this.#all.reserved.has(this.#nextId)) {
      this.#nextId = (this.#nextId % 65_535) + 1
    }
    const id = this.#nextId
    this.#nextId = (id % 65_535) + 1
    return id
  }
}
