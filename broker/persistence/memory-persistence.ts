import { setImmediate as turnOfOthers } from 'node:timers/promises'
import AsyncMemoryPersistence from 'aedes-persistence/asyncPersistence.js'
import { type Clock, systemClock } from '#core/clock.ts'
import type { Message, RoutedMessage } from '../aedes/messages.ts'
import { MemorySession } from './memory-session.ts'
import {
  defaultPersistenceLimits,
  type MatchingSubscription,
  type OpenedSession,
  type PersistenceLimits,
  type QueuePage,
  type QueueStep,
  RetainedQuotaError,
  type SessionOwner,
  type SessionPersistence,
  type StoredSubscription,
} from './session-persistence.ts'
import { unexpired } from './stored-message.ts'
import { grantsFor, SubscriptionTable } from './subscription-table.ts'
import { TopicTree } from './topic-tree.ts'

const longestTimerMs = 2 ** 31 - 1

interface Retained {
  readonly message: RoutedMessage
  readonly storedAt: number
}

/** Sessions, queues and retained messages of one organization in this process. */
export class MemoryPersistence extends AsyncMemoryPersistence implements SessionPersistence {
  readonly #now: Clock
  readonly #sessions = new Map<string, MemorySession>()
  readonly #subscriptions = new SubscriptionTable()
  readonly #retained = new TopicTree<Retained>()
  #limits = defaultPersistenceLimits
  #epoch = 0

  constructor(now: Clock = systemClock) {
    super()
    this.#now = now
  }

  override async setup(): Promise<void> {}

  /** An organization that is opened again finds everything as it was. */
  override async destroy(): Promise<void> {}

  configure(limits: PersistenceLimits): void {
    this.#limits = limits
  }

  override async storeRetained(message: RoutedMessage): Promise<void> {
    const { topic, payload } = message
    if (payload.length === 0) return this.#retained.delete(topic)
    const isNew = this.#retained.get(topic) === undefined
    if (isNew && this.#retained.size >= this.#limits.retained) throw new RetainedQuotaError()
    this.#retained.set(topic, { message: { ...message }, storedAt: this.#now() })
  }

  override async *createRetainedStreamCombi(filters: readonly string[]): AsyncGenerator<Message> {
    const seen = new Set<string>()
    for (const filter of filters) {
      for (const found of this.#retained.find(filter)) {
        if (found === undefined) {
          await turnOfOthers()
          continue
        }
        const { message, storedAt } = found
        if (seen.has(message.topic)) continue
        if (filters.length > 1) seen.add(message.topic)
        const left = unexpired(message, storedAt, this.#now())
        if (left === undefined) this.#retained.delete(message.topic)
        else yield left
      }
    }
  }

  async catchUp(): Promise<void> {}

  isQueued(topic: string): boolean {
    return this.#subscriptions.match(topic).length > 0
  }

  override async subscriptionsByTopic(topic: string): Promise<MatchingSubscription[]> {
    return this.#subscriptions.match(topic)
  }

  override async outgoingEnqueueCombi(
    subscriptions: readonly MatchingSubscription[],
    message: RoutedMessage,
  ): Promise<void> {
    if (subscriptions.length === 0) return
    let dropped = 0
    // A view would keep everything alive that was read with it.
    const own = { ...message, payload: Buffer.from(message.payload) }
    for (const [id, qos] of grantsFor(subscriptions, message)) {
      const session = this.#sessions.get(id)
      if (session?.enqueue(own, qos, this.#now(), this.#limits.queued) === false) dropped += 1
    }
    if (dropped > 0) this.#limits.onDropped?.(dropped)
  }

  async openSession({ id }: SessionOwner, clean: boolean, _expirySeconds: number): Promise<OpenedSession> {
    if (clean) await this.endSession({ id })
    const former = this.#sessions.get(id)
    clearTimeout(former?.ending)
    const session = former ?? new MemorySession()
    this.#sessions.set(id, session)
    this.#epoch += 1
    session.epoch = String(this.#epoch)
    return {
      isPresent: former !== undefined,
      epoch: session.epoch,
      subscriptions: this.#subscriptions.ofClient(id),
      incoming: [...session.incoming],
      sent: session.sent(),
    }
  }

  async closeSession({ id }: SessionOwner, epoch: string, expirySeconds: number): Promise<void> {
    const session = this.#sessions.get(id)
    if (session?.epoch !== epoch) return
    if (expirySeconds <= 0) return this.endSession({ id })
    const end = (): void => void this.endSession({ id })
    session.ending = setTimeout(end, Math.min(expirySeconds * 1_000, longestTimerMs)).unref()
  }

  async endSession({ id }: SessionOwner): Promise<void> {
    clearTimeout(this.#sessions.get(id)?.ending)
    this.#sessions.delete(id)
    this.#subscriptions.deleteClient(id)
  }

  override async addSubscriptions(
    owner: SessionOwner,
    subscriptions: readonly StoredSubscription[],
  ): Promise<void> {
    if (subscriptions.length > 0) this.#session(owner)
    for (const each of subscriptions) this.#subscriptions.set(owner.id, each)
  }

  override async removeSubscriptions({ id }: SessionOwner, filters: readonly string[]): Promise<void> {
    for (const filter of filters) this.#subscriptions.delete(id, filter)
  }

  async outgoingPage({ id }: SessionOwner, after: string, count: number): Promise<QueuePage> {
    const now = this.#now()
    return this.#sessions.get(id)?.page(after, count, now) ?? { messages: [], next: after, isLast: true, now }
  }

  async outgoingApply({ id }: SessionOwner, steps: readonly QueueStep[]): Promise<void> {
    for (const step of steps) this.#sessions.get(id)?.apply(step)
  }

  async incomingStore(owner: SessionOwner, messageId: number): Promise<void> {
    this.#session(owner).incoming.add(messageId)
  }

  async incomingForget({ id }: SessionOwner, messageId: number): Promise<void> {
    this.#sessions.get(id)?.incoming.delete(messageId)
  }

  #session({ id }: SessionOwner): MemorySession {
    const session = this.#sessions.get(id)
    if (session === undefined) throw new Error('the session has ended')
    return session
  }
}
