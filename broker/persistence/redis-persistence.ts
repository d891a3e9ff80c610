import AsyncRedisPersistence from 'aedes-persistence-redis/asyncPersistence.js'
import type { Cluster, Redis } from 'ioredis'
import { Gathering } from '#core/stores/gathering.ts'
import { beginning, behindAll } from '#core/stores/prefix-range.ts'
import { fromRedis } from '#core/stores/redis-connection.ts'
import type { Message, RoutedMessage } from '../aedes/messages.ts'
import { DomainError } from '#core/errors.ts'
import { isSharedFilter } from './group.ts'
import { openedSession } from './opened-session.ts'
import { recipientsOf, without } from './recipients.ts'
import { takeTurns } from './queue-scripts.ts'
import { type Enqueued, RedisQueues } from './redis-queues.ts'
import { RedisRetained } from './redis-retained.ts'
import type { PromisedWrite, ReplicatedWrites, WritePromised } from './replicated-writes.ts'
import {
  defaultPersistenceLimits,
  type MatchingSubscription,
  type OpenedSession,
  type PersistenceLimits,
  type QueuePage,
  type QueueStep,
  type SessionOwner,
  type SessionPersistence,
  type StoredSubscription,
  type Turn,
} from './session-persistence.ts'
import {
  addSubscriptions,
  closeSession,
  endSession,
  findSessions,
  leaveForReplica,
  openSession,
  removeSubscriptions,
  renewSessions,
  returnToGroups,
  storeIncoming,
  sweepSessions,
} from './session-scripts.ts'
import { type FoundSession, foundSession, type SessionMark, markText } from './session-mark.ts'
import { ownSummonsTopic, summon, type Summons } from './summons.ts'
import { type Announcer, onlyStored, KnownSubscriptions, subscriptionText } from './known-subscriptions.ts'

export interface PersistenceTimes {
  /** How long a session outlives its replica, on top of its expiry: a connection may last longer than that. */
  readonly leaseMs: number
  /** How often changes that nobody told are looked for, and sessions that have ended are put away. */
  readonly tickMs: number
}

export interface RedisPersistenceOptions extends Partial<PersistenceTimes> {
  /** Names this replica to the others. */
  readonly replica?: string
  /** For organizations whose messages are acknowledged once a replica of Redis has them. */
  readonly replicated?: Pick<ReplicatedWrites, 'run'>
}

const defaultTimes: PersistenceTimes = { leaseMs: 15 * 60_000, tickMs: 15_000 }
/** Renewals that may fail before a lease ends. */
const renewalsPerLease = 3
const sessionsPerSweep = 100
const sessionsPerRenewal = 500
const turnsAtOnce = 500

/**
 * Sessions, queues and retained messages of one organization in Redis, under its own prefix, on a connection
 * that all organizations share. What the package does in another way is overridden: it gets no connection.
 */
export class RedisPersistence extends AsyncRedisPersistence implements SessionPersistence {
  readonly #redis: Redis | Cluster
  readonly #prefix: string
  readonly #times: PersistenceTimes
  readonly #replicated: Pick<ReplicatedWrites, 'run'> | undefined
  readonly #subscriptions: KnownSubscriptions
  readonly #retained: RedisRetained
  readonly #queues: RedisQueues
  readonly #connected = new Map<string, { readonly epoch: string; readonly ms: number }>()
  /** Connected sessions that are members of groups. */
  readonly #members = new Set<string>()
  readonly #turns: Gathering<string, Turn | undefined>
  readonly #replica: string
  #announcer: Announcer | undefined
  #limits = defaultPersistenceLimits
  #tick: NodeJS.Timeout | undefined
  #renewal: NodeJS.Timeout | undefined

  /** Without `replicated` nothing of an organization that wants its messages replicated is acknowledged. */
  constructor(
    redis: Redis | Cluster,
    prefix: string,
    { replicated, replica = 'here', ...times }: RedisPersistenceOptions = {},
  ) {
    super({ conn: noConnection })
    const write: WritePromised = (promised) => this.#write(promised)
    this.#redis = redis
    this.#prefix = prefix
    this.#times = { ...defaultTimes, ...times }
    this.#replicated = replicated
    this.#replica = replica
    this.#turns = new Gathering({
      most: turnsAtOnce,
      ask: (groups) => this.#takeTurns(groups),
      idle: () => {},
    })
    this.#subscriptions = new KnownSubscriptions(redis, prefix)
    this.#retained = new RedisRetained(redis, prefix, write)
    this.#queues = new RedisQueues({
      redis,
      prefix,
      write,
      onDropped: (count) => this.#limits.onDropped?.(count),
      onEnqueued: (enqueued) => this.#enqueued(enqueued),
    })
  }

  override async setup(broker: Announcer): Promise<void> {
    this.#announcer = broker
    await this.#subscriptions.open(broker)
    const { leaseMs, tickMs } = this.#times
    this.#tick = setInterval(() => void this.#lookAround(), tickMs).unref()
    this.#renewal = setInterval(
      () => void this.#renew().catch(() => {}),
      leaseMs / (renewalsPerLease + 1),
    ).unref()
  }

  override async destroy(): Promise<void> {
    clearInterval(this.#tick)
    clearInterval(this.#renewal)
    this.#subscriptions.close()
    this.#announcer = undefined
  }

  configure(limits: PersistenceLimits): void {
    this.#limits = limits
  }

  override async storeRetained(message: RoutedMessage): Promise<void> {
    await this.#retained.store(message, this.#limits.retained)
  }

  override createRetainedStreamCombi(filters: readonly string[]): AsyncIterable<Message> {
    return this.#retained.find(filters)
  }

  catchUp(): Promise<void> {
    return this.#subscriptions.catchUp()
  }

  isQueued(topic: string): boolean {
    return this.#subscriptions.match(topic).length > 0
  }

  groupsOf(topic: string): readonly string[] {
    return this.#subscriptions.groupsOf(topic)
  }

  turnOf(group: string): Promise<Turn | undefined> {
    return this.#turns.ask(group)
  }

  async returnToGroups({ id }: SessionOwner, epoch: string): Promise<boolean> {
    const values = [id, epoch, this.#placeOf(id)]
    const isBack = (await returnToGroups(this.#redis, this.#prefix, values)) === 1
    if (isBack) this.#summon('missed', [id])
    return isBack
  }

  async leaveForReplica(replica: string): Promise<void> {
    this.#endedWith((await leaveForReplica(this.#redis, this.#prefix, [replica])) as Ended)
  }

  override async subscriptionsByTopic(topic: string): Promise<MatchingSubscription[]> {
    return this.#subscriptions.match(topic)
  }

  override outgoingEnqueueCombi(
    subscriptions: readonly MatchingSubscription[],
    message: RoutedMessage,
  ): Promise<void> {
    if (subscriptions.length === 0) return nothing
    const recipients = recipientsOf(subscriptions, message)
    return recipients.all.length === 0
      ? nothing
      : this.#queues.enqueue(recipients, message, this.#limits.queued)
  }

  async openSession(
    owner: SessionOwner,
    clean: boolean,
    expirySeconds: number,
    mark: SessionMark = { uid: '' },
  ): Promise<OpenedSession> {
    const ms = expirySeconds * 1_000 + this.#times.leaseMs
    const about = [...markText(mark), mark.isFixed === true ? 1 : 0]
    const values = [owner.id, clean ? 1 : 0, ms, this.#place(ms), ...about]
    const { ended, opened, moved } = openedSession(await openSession(this.#redis, this.#prefix, values))
    this.#ended(owner.id, ended)
    this.#summon('missed', moved)
    this.#connected.set(owner.id, { epoch: opened.epoch, ms })
    if (opened.subscriptions.some(isShared)) this.#members.add(owner.id)
    return opened
  }

  async closeSession(owner: SessionOwner, epoch: string, expirySeconds: number): Promise<void> {
    if (this.#connected.get(owner.id)?.epoch === epoch) {
      this.#connected.delete(owner.id)
      this.#members.delete(owner.id)
    }
    const values = [owner.id, epoch, expirySeconds * 1_000]
    await this.#endedOne(owner.id, await closeSession(this.#redis, this.#prefix, values))
  }

  async endSession(owner: SessionOwner, epoch = ''): Promise<void> {
    await this.#endedOne(owner.id, await endSession(this.#redis, this.#prefix, [owner.id, epoch]))
  }

  async findSessions(prefix: string, after: string, count: number): Promise<readonly FoundSession[]> {
    const values = [beginning(prefix, after), behindAll(prefix), count]
    const found = ((await findSessions(this.#redis, this.#prefix, values)) as Buffer[]).map(String)
    return pairsOf(found).map(([id, epoch]) => foundSession(id, epoch))
  }

  override async addSubscriptions(
    { id }: SessionOwner,
    subscriptions: readonly StoredSubscription[],
  ): Promise<void> {
    if (subscriptions.length === 0) return
    const stored = subscriptions.map(onlyStored)
    const value = JSON.stringify(stored)
    const pairs = stored.flatMap((each) => [each.topic, subscriptionText(each)])
    const revision = await addSubscriptions(this.#redis, this.#prefix, [
      id,
      this.#placeOf(id),
      value,
      ...pairs,
    ])
    this.#subscriptions.changed(revision as number, { id, kind: 'add', value })
    if (!stored.some(isShared)) return
    this.#members.add(id)
    await this.#subscriptions.upTo(revision as number)
  }

  override async removeSubscriptions({ id }: SessionOwner, filters: readonly string[]): Promise<void> {
    if (filters.length === 0) return
    const value = JSON.stringify(filters)
    const [revision, moved] = (await removeSubscriptions(this.#redis, this.#prefix, [
      id,
      value,
      ...filters,
    ])) as EndedOne
    this.#subscriptions.changed(revision, { id, kind: 'remove', value })
    this.#summon('missed', moved.map(String))
    await this.#subscriptions.upTo(revision)
  }

  outgoingPage(owner: SessionOwner, after: string, count: number): Promise<QueuePage> {
    return this.#queues.page(owner.id, after, count)
  }

  outgoingApply(owner: SessionOwner, steps: readonly QueueStep[]): Promise<void> {
    return this.#queues.apply(owner.id, steps)
  }

  async incomingStore({ id }: SessionOwner, messageId: number): Promise<void> {
    await this.#write({ write: (redis) => storeIncoming(redis, this.#prefix, [id, messageId]) })
  }

  async incomingForget({ id }: SessionOwner, messageId: number): Promise<void> {
    await fromRedis(() => this.#redis.srem(`${this.#prefix}incoming:${id}`, messageId))
  }

  /** Resolves once a publisher may be told. */
  #write<T>(promised: PromisedWrite<T>): Promise<T> {
    if (!this.#limits.isReplicated) return promised.write(this.#redis)
    return this.#replicated?.run(promised) ?? Promise.reject(noReplicas())
  }

  async #enqueued({ messages, recipients, revision, ended, picked }: Enqueued): Promise<void> {
    this.#summon('more', picked)
    if (ended) void this.#lookAround()
    if (!(await this.#subscriptions.upTo(revision))) return
    // What other replicas had added by then and nobody had told us.
    const missed = messages.map(async (message, index) => {
      const now = recipientsOf(this.#subscriptions.match(message.topic), message)
      const rest = without(now, recipients[index] ?? now)
      if (rest.all.length > 0) await this.#queues.enqueue(rest, message, this.#limits.queued)
    })
    await Promise.all(missed)
  }

  #ended(id: string, revision: number): void {
    this.#subscriptions.changed(revision, { id, kind: 'end', value: '' })
  }

  async #endedOne(id: string, answer: unknown): Promise<void> {
    const [revision, moved] = answer as EndedOne
    this.#ended(id, revision)
    this.#summon('missed', moved.map(String))
    // Its groups may have ended as well.
    await this.#subscriptions.upTo(revision)
  }

  #endedWith([ended, moved]: Ended): void {
    for (let at = 0; at < ended.length; at += 2) this.#ended(String(ended[at]), Number(ended[at + 1]))
    this.#summon('missed', moved.map(String))
  }

  #summon(why: Summons['why'], ids: readonly string[]): void {
    if (this.#announcer !== undefined) summon(this.#announcer, { why, ids })
  }

  /** Where a session is connected; `!` says that it ends with its connection. */
  #place(ms: number): string {
    return ms > this.#times.leaseMs ? this.#replica : `${this.#replica}!`
  }

  #placeOf(id: string): string {
    return this.#place(this.#connected.get(id)?.ms ?? Infinity)
  }

  async #takeTurns(groups: readonly string[]): Promise<(Turn | undefined)[]> {
    const answer = (await takeTurns(this.#redis, this.#prefix, groups)) as Buffer[]
    return groups.map((_, index) => {
      const [id, place] = answer.slice(index * 2, index * 2 + 2).map(String)
      return id === undefined || id === '' ? undefined : { id, replica: (place ?? '').replace('!', '') }
    })
  }

  async #lookAround(): Promise<void> {
    try {
      this.#endedWith((await sweepSessions(this.#redis, this.#prefix, [sessionsPerSweep])) as Ended)
      await this.#subscriptions.catchUp()
      // Whoever put something into their queues may have died before it said so.
      if (this.#announcer !== undefined) {
        summon(this.#announcer, { why: 'missed', ids: [...this.#members] }, ownSummonsTopic)
      }
    } catch {
      // The next one may find Redis again.
    }
  }

  async #renew(): Promise<void> {
    const values = [...this.#connected].map(([id, { epoch, ms }]) => [id, epoch, ms] as const)
    for (let at = 0; at < values.length; at += sessionsPerRenewal) {
      await renewSessions(this.#redis, this.#prefix, values.slice(at, at + sessionsPerRenewal).flat())
    }
  }
}

/** As scripts answer: (id, number of the change)*, and whose queues were put something into. */
type Ended = [ended: (Buffer | number)[], moved: Buffer[]]
type EndedOne = [revision: number, moved: Buffer[]]

function pairsOf(flat: readonly string[]): [string, string][] {
  const pairs: [string, string][] = []
  for (let at = 0; at + 1 < flat.length; at += 2) pairs.push([flat[at] ?? '', flat[at + 1] ?? ''])
  return pairs
}

const isShared = ({ topic }: StoredSubscription): boolean => isSharedFilter(topic)

const nothing = Promise.resolve()

/** Whatever of the package is not overridden fails at once instead of writing keys without a prefix. */
const noConnection: object = Object.freeze({})

const noReplicas = (): DomainError =>
  new DomainError('store-unavailable', 'there is no connection for replicated messages')
