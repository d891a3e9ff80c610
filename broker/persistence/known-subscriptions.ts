import type { Cluster, Redis } from 'ioredis'
import { fromRedis } from '#core/stores/redis-connection.ts'
import type { MatchingSubscription, StoredSubscription } from './session-persistence.ts'
import { SubscriptionTable } from './subscription-table.ts'

/** What of aedes is needed to tell the other replicas. */
export interface Announcer {
  readonly mq: {
    on(topic: string, listener: (message: { payload: Buffer }, done: () => void) => void): void
    removeListener(topic: string, listener: (message: { payload: Buffer }, done: () => void) => void): void
    emit(message: object, done: (error?: Error) => void): void
  }
}

/** One change of one session; `value` is text of StoredSubscriptions, or of filters, or nothing. */
export interface SubscriptionChange {
  readonly id: string
  readonly kind: 'add' | 'remove' | 'end'
  readonly value: string
}

const topic = '$SYS/sub/changed'
const sessionsPerLoad = 500

/**
 * The subscriptions of all stored sessions of an organization, as this replica knows them. Every change has a
 * number. Replicas tell each other changes over the emitter; who finds a number missing reads it from Redis,
 * and all of them anew when Redis has forgotten it.
 */
export class KnownSubscriptions {
  readonly #redis: Redis | Cluster
  readonly #prefix: string
  #table = new SubscriptionTable()
  /** All changes up to here are in the table. */
  #known = 0
  #announcer: Announcer | undefined
  #catchingUp: Promise<void> | undefined
  readonly #heard = (message: { payload: Buffer }, done: () => void): void => {
    this.#hear(message.payload)
    done()
  }

  constructor(redis: Redis | Cluster, prefix: string) {
    this.#redis = redis
    this.#prefix = prefix
  }

  /** Resolves when all are known; listens first, so that none made meanwhile is missed. */
  async open(announcer: Announcer): Promise<void> {
    this.#announcer = announcer
    announcer.mq.on(topic, this.#heard)
    await this.#load()
    await this.catchUp()
  }

  close(): void {
    this.#announcer?.mq.removeListener(topic, this.#heard)
    this.#announcer = undefined
  }

  match(topicName: string): MatchingSubscription[] {
    return this.#table.match(topicName)
  }

  groupsOf(topicName: string): readonly string[] {
    return this.#table.groupsOf(topicName)
  }

  /** A change made here: it counts from now on, and the others are told. */
  changed(revision: number, change: SubscriptionChange): void {
    // Where nobody has opened it there is nothing to keep up with.
    if (revision === 0 || this.#announcer === undefined) return
    this.#take(revision, change)
    const payload = Buffer.from(JSON.stringify({ ...change, revision }))
    const message = { topic, payload, qos: 0, retain: false, brokerId: '', brokerCounter: 0 }
    // Whoever does not hear it finds the number missing.
    this.#announcer.mq.emit(message, () => {})
  }

  /** Resolves once everything up to this number is known, with whether something was not. */
  async upTo(revision: number): Promise<boolean> {
    if (revision <= this.#known || this.#announcer === undefined) return false
    await this.catchUp()
    return true
  }

  /** Reads what was missed. One after the other, however many ask. */
  catchUp(): Promise<void> {
    const next = (this.#catchingUp ?? Promise.resolve()).catch(() => {}).then(() => this.#readOn())
    this.#catchingUp = next
    return next
  }

  #hear(payload: Buffer): void {
    const told = parseTold(payload)
    if (told !== undefined && told.revision <= this.#known) return
    if (told !== undefined && told.revision === this.#known + 1) this.#take(told.revision, told)
    else this.catchUp().catch(() => {})
  }

  #take(revision: number, change: SubscriptionChange): void {
    apply(this.#table, change)
    if (revision === this.#known + 1) this.#known = revision
    else if (revision > this.#known) this.catchUp().catch(() => {})
  }

  async #readOn(): Promise<void> {
    const [revision, entries] = await fromRedis(() => this.#readChanges())
    const first = entries[0]?.revision ?? revision + 1
    if (revision < this.#known || (revision > this.#known && first > this.#known + 1)) return this.#load()
    for (const { revision: each, ...change } of entries) {
      apply(this.#table, change)
      this.#known = Math.max(this.#known, each)
    }
  }

  async #readChanges(): Promise<[number, (SubscriptionChange & { revision: number })[]]> {
    const answers = await this.#redis
      .multi()
      .get(`${this.#prefix}revision`)
      .xrange(`${this.#prefix}changes`, `${this.#known + 1}-0`, '+')
      .exec()
    const [revision, entries] = (answers ?? []).map(([error, value]) => {
      if (error) throw error
      return value
    })
    return [Number(revision ?? 0), ((entries ?? []) as [string, string[]][]).map(changeOf)]
  }

  /** Everything anew, in pages of many sessions. Changes meanwhile have a higher number and are read after. */
  async #load(): Promise<void> {
    const table = new SubscriptionTable()
    const revision = Number((await fromRedis(() => this.#redis.get(`${this.#prefix}revision`))) ?? 0)
    let cursor = '0'
    do {
      const [next, found] = await fromRedis(() =>
        this.#redis.zscan(`${this.#prefix}sessions`, cursor, 'COUNT', sessionsPerLoad),
      )
      cursor = next
      const ids = found.filter((_, index) => index % 2 === 0)
      const sessions = await fromRedis(() => this.#readSessions(ids))
      for (const [index, session] of sessions.entries()) {
        for (const subscription of subscriptionsOf(session)) table.set(ids[index] ?? '', subscription)
      }
    } while (cursor !== '0')
    this.#table = table
    this.#known = revision
  }

  async #readSessions(ids: readonly string[]): Promise<Record<string, string>[]> {
    if (ids.length === 0) return []
    const pipeline = this.#redis.pipeline()
    for (const id of ids) pipeline.hgetall(`${this.#prefix}session:${id}`)
    const answers = (await pipeline.exec()) ?? []
    return answers.map(([error, session]) => {
      if (error) throw error
      return session as Record<string, string>
    })
  }
}

/** Without what only a live subscription has. */
export function onlyStored({
  topic,
  qos,
  rh,
  rap,
  nl,
  subscriptionIdentifier,
}: StoredSubscription): StoredSubscription {
  return {
    topic,
    qos,
    ...(rh === undefined ? {} : { rh }),
    ...(rap === undefined ? {} : { rap }),
    ...(nl === undefined ? {} : { nl }),
    ...(subscriptionIdentifier === undefined ? {} : { subscriptionIdentifier }),
  }
}

/** How one subscription lies in its session's hash. */
export function subscriptionText(subscription: StoredSubscription): string {
  return JSON.stringify({ ...subscription, topic: undefined })
}

/** Of a session's hash; its epoch lies under ''. */
export function subscriptionsOf(session: Record<string, string>): StoredSubscription[] {
  return Object.entries(session).flatMap(([filter, text]) =>
    filter === '' ? [] : [{ ...(JSON.parse(text) as StoredSubscription), topic: filter }],
  )
}

function apply(table: SubscriptionTable, { id, kind, value }: SubscriptionChange): void {
  if (kind === 'end') table.deleteClient(id)
  else if (kind === 'add') for (const each of JSON.parse(value) as StoredSubscription[]) table.set(id, each)
  else for (const filter of JSON.parse(value) as string[]) table.delete(id, filter)
}

function changeOf([entryId, fields]: [string, string[]]): SubscriptionChange & { revision: number } {
  const [, id = '', , kind, , value = ''] = fields
  return { revision: Number(entryId.split('-')[0]), id, kind: kind as SubscriptionChange['kind'], value }
}

/** Undefined for what is no announcement of ours: the reader then looks into Redis. */
function parseTold(payload: Buffer): (SubscriptionChange & { revision: number }) | undefined {
  try {
    const told = JSON.parse(payload.toString()) as SubscriptionChange & { revision: number }
    return Number.isSafeInteger(told.revision) && typeof told.id === 'string' ? told : undefined
  } catch {
    return undefined
  }
}
