import { setImmediate as turnOfOthers } from 'node:timers/promises'
import AsyncMemoryPersistence from 'aedes-persistence/asyncPersistence.js'
import { type Clock, systemClock } from '#core/clock.ts'
import type { StoredSessionState } from '#core/stores/session-directory.ts'
import type { Message, RoutedMessage } from '../aedes/messages.ts'
import { noOtherReplica } from '../bus/no-other-replica.ts'
import { groupOf, isGroup } from './group.ts'
import { MemoryGroups } from './memory-groups.ts'
import { MemorySession } from './memory-session.ts'
import { numbersPerMs } from '#core/stores/session-directory.ts'
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
  type Turn,
} from './session-persistence.ts'
import { type FoundSession, foundSession, type SessionMark, markText } from './session-mark.ts'
import type { Announcer } from './known-subscriptions.ts'
import { unexpired } from './stored-message.ts'
import { summon, type Summons } from './summons.ts'
import { grantsFor, SubscriptionTable } from './subscription-table.ts'
import { TopicTree } from './topic-tree.ts'

const longestTimerMs = 2 ** 31 - 1

/** How a member leaves its group: its connection, its subscription, or its session. */
type Leaving = 'away' | 'unsubscribed' | 'gone'

interface Held {
  readonly how: Leaving
  readonly isSent: boolean
  readonly isExactlyOnce: boolean
  readonly hasOthers: boolean
}

/** What was sent to a member is not always another's [MQTT-4.8.2-5] [MQTT-3.10.4-3]. */
function mayKeep({ how, isSent, isExactlyOnce, hasOthers }: Held): boolean {
  if (!isSent || how === 'unsubscribed') return isSent
  return isExactlyOnce || (how === 'away' && !hasOthers)
}

interface Retained {
  readonly message: RoutedMessage
  readonly storedAt: number
}

/** Sessions, queues and retained messages of one organization in this process. */
export class MemoryPersistence extends AsyncMemoryPersistence implements SessionPersistence {
  readonly #now: Clock
  readonly #sessions = new Map<string, MemorySession>()
  readonly #subscriptions = new SubscriptionTable()
  #retained = new TopicTree<Retained>()
  readonly #groups = new MemoryGroups()
  #announcer: Announcer | undefined
  #limits = defaultPersistenceLimits
  #epoch = 0

  constructor(now: Clock = systemClock) {
    super()
    this.#now = now
  }

  override async setup(broker: Announcer): Promise<void> {
    this.#announcer = broker
  }

  /** An organization that is opened again finds everything as it was. */
  override async destroy(): Promise<void> {
    this.#announcer = undefined
  }

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

  groupsOf(topic: string): readonly string[] {
    return this.#subscriptions.groupsOf(topic)
  }

  async turnOf(group: string): Promise<Turn | undefined> {
    const id = this.#groups.pick(group)
    return id === undefined ? undefined : { id, replica: noOtherReplica.replica }
  }

  /** Nobody else is there to take this replica for gone. */
  async returnToGroups(): Promise<boolean> {
    return true
  }

  async leaveForReplica(): Promise<void> {}

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
    const picked: string[] = []
    for (const [id, qos] of grantsFor(subscriptions, message)) {
      const member = isGroup(id) ? this.#groups.pick(id) : undefined
      if (member !== undefined) picked.push(member)
      const session = this.#sessions.get(member ?? id)
      const group = isGroup(id) ? id : undefined
      if (session?.enqueue(own, qos, this.#now(), this.#limits.queued, group) === false) dropped += 1
    }
    this.#summon('more', picked)
    if (dropped > 0) this.#limits.onDropped?.(dropped)
  }

  async openSession(
    { id }: SessionOwner,
    clean: boolean,
    _expirySeconds: number,
    mark?: SessionMark,
  ): Promise<OpenedSession> {
    const isForeign = mark?.isFixed === true && this.#isOfAnother(id, mark)
    if (clean || isForeign) await this.endSession({ id })
    const former = this.#sessions.get(id)
    clearTimeout(former?.ending)
    if (former !== undefined) former.endsAt = undefined
    const session = former ?? new MemorySession()
    this.#sessions.set(id, session)
    for (const group of this.#groups.of(id)) this.#groups.arrive(id, group)
    this.#epoch = Math.max(this.#epoch + 1, this.#now() * numbersPerMs)
    session.epoch = [this.#epoch, ...markText(mark ?? { uid: '' })].join(' ')
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
    for (const group of this.#groups.of(id)) this.#leave(id, group, 'away')
    const end = (): void => void this.endSession({ id })
    session.endsAt = this.#now() + expirySeconds * 1_000
    session.ending = setTimeout(end, Math.min(expirySeconds * 1_000, longestTimerMs)).unref()
  }

  async endSession({ id }: SessionOwner, epoch?: string): Promise<void> {
    if (epoch !== undefined && this.#sessions.get(id)?.epoch !== epoch) return
    clearTimeout(this.#sessions.get(id)?.ending)
    for (const group of this.#groups.of(id)) this.#leave(id, group, 'gone')
    this.#sessions.delete(id)
    this.#subscriptions.deleteClient(id)
  }

  async findSessions(prefix: string, after: string, count: number): Promise<readonly FoundSession[]> {
    const ids = [...this.#sessions.keys()].filter((id) => !isGroup(id) && id.startsWith(prefix) && id > after)
    const page = ids.sort().slice(0, count)
    return page.map((id) => foundSession(id, this.#sessions.get(id)?.epoch ?? ''))
  }

  /** As the directory of sessions shows it. */
  stateOf(id: string): StoredSessionState | undefined {
    const session = this.#sessions.get(id)
    if (session === undefined) return undefined
    return {
      openedAt: foundSession(id, session.epoch).openedAt,
      endsAt: session.endsAt ?? Infinity,
      subscriptions: this.#subscriptions.ofClient(id).map(({ topic }) => topic),
      queued: session.queued,
    }
  }

  /** The organization is gone: nothing of it stays. */
  async forgetAll(): Promise<void> {
    for (const id of this.#sessions.keys()) await this.endSession({ id })
    this.#retained = new TopicTree<Retained>()
  }

  override async addSubscriptions(
    owner: SessionOwner,
    subscriptions: readonly StoredSubscription[],
  ): Promise<void> {
    if (subscriptions.length > 0) this.#session(owner)
    for (const each of subscriptions) {
      this.#subscriptions.set(owner.id, each)
      this.#join(owner.id, each.topic)
    }
  }

  override async removeSubscriptions({ id }: SessionOwner, filters: readonly string[]): Promise<void> {
    for (const filter of filters) {
      this.#subscriptions.delete(id, filter)
      const group = groupOf(filter)
      if (group !== undefined && this.#groups.of(id).includes(group)) this.#leave(id, group, 'unsubscribed')
    }
  }

  async outgoingPage({ id }: SessionOwner, after: string, count: number): Promise<QueuePage> {
    const now = this.#now()
    const session = this.#sessions.get(id)
    if (session === undefined) return { messages: [], next: after, isLast: true, now }
    this.#takeWaiting(id, session)
    return session.page(after, count, now)
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

  #isOfAnother(id: string, { uid }: SessionMark): boolean {
    const former = this.#sessions.get(id)
    const mark = former && foundSession(id, former.epoch).mark
    return mark !== undefined && mark.uid !== uid
  }

  #join(id: string, shared: string): void {
    const filter = this.#groups.join(id, shared)
    const group = groupOf(shared)
    if (filter === undefined || group === undefined) return
    this.#subscriptions.set(group, { topic: filter, qos: 2 })
    this.#sessions.set(group, new MemorySession())
  }

  /** A member takes what waits for its groups. */
  #takeWaiting(id: string, session: MemorySession): void {
    for (const group of this.#groups.of(id)) {
      for (const each of this.#sessions.get(group)?.takeOut(group, () => true) ?? []) session.put(each)
    }
  }

  #leave(id: string, group: string, how: Leaving): void {
    if (how === 'away') this.#groups.away(id, group)
    const isLast = how !== 'away' && this.#groups.leave(id, group)
    const hasOthers = this.#groups.hasConnected(group)
    const left =
      this.#sessions
        .get(id)
        ?.takeOut(group, (isSent, qos) => !mayKeep({ how, isSent, isExactlyOnce: qos === 2, hasOthers })) ??
      []
    const moved: string[] = []
    for (const each of left) {
      const member = this.#groups.pick(group)
      if (member !== undefined) moved.push(member)
      this.#sessions.get(member ?? group)?.put(each)
    }
    this.#summon('missed', moved)
    if (!isLast) return
    this.#subscriptions.deleteClient(group)
    this.#sessions.delete(group)
  }

  #summon(why: Summons['why'], ids: readonly string[]): void {
    if (this.#announcer !== undefined) summon(this.#announcer, { why, ids })
  }

  #session({ id }: SessionOwner): MemorySession {
    const session = this.#sessions.get(id)
    if (session === undefined) throw new Error('the session has ended')
    return session
  }
}
