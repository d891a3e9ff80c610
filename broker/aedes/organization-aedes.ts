import { Aedes } from 'aedes'
import type { OrganizationRecord } from '#core/organizations/organization-record.ts'
import { ClientMessage, type Message, type RoutedMessage } from '../aedes/messages.ts'
import type { OrganizationEmitter } from '../bus/organization-emitter.ts'
import { LocalClaims } from '../cluster/local-claims.ts'
import { isOwnFilter } from '../own-topics/own-topics.ts'
import { isSharedFilter } from '../persistence/group.ts'
import type { SessionPersistence } from '../persistence/session-persistence.ts'
import type { AedesClient } from './aedes-client.ts'
import { SharedGroups } from './shared-groups.ts'

export type Deliver = (message: RoutedMessage, done: () => void) => void

/** The parts of aedes 1.2.0 that its types do not show. A test holds each of them. */
interface AedesInside {
  readonly clients: Record<string, AedesClient | undefined>
  readonly _heartbeatInterval: NodeJS.Timeout
  readonly _clearWillInterval: NodeJS.Timeout
  /** Number of the last message. */
  counter: number
  publish(message: Message, client: AedesClient | undefined, done: (error?: Error | null) => void): void
  subscribe(filter: string, deliver: Deliver, done: () => void): void
  unsubscribe(filter: string, deliver: Deliver, done: () => void): void
}

export interface OrganizationAedesOptions {
  /** Names this replica in every message. */
  readonly replica: string
  readonly emitter: OrganizationEmitter
  readonly persistence: SessionPersistence
  readonly onError: (error: Error) => void
}

// Aedes multiplies it by four for another timer: the largest value that stays below Node's longest timer.
const never = Math.floor((2 ** 31 - 1) / 4)

/** One organization's aedes: its publish pipeline, client registry and persistence calls, as promises. */
export class OrganizationAedes {
  readonly persistence: SessionPersistence
  /** The record that its persistence was configured by last. */
  configuredBy: OrganizationRecord | undefined
  readonly #aedes: Aedes
  readonly #inside: AedesInside

  readonly #replica: string
  readonly #claims = new LocalClaims()
  readonly #emitter: OrganizationEmitter
  readonly #groups: SharedGroups

  private constructor(aedes: Aedes, { replica, emitter, persistence }: OrganizationAedesOptions) {
    this.#replica = replica
    this.#emitter = emitter
    this.#aedes = aedes
    this.#inside = aedes as unknown as AedesInside
    this.persistence = persistence
    this.#groups = new SharedGroups({
      replica,
      emitter,
      persistence,
      clientOf: (id) => this.#inside.clients[id],
      nextCounter: () => this.#nextCounter(),
    })
    // Names of messages stay in queues, and the organization may be opened again: no number comes twice, as long as
    // nobody sends a message every microsecond.
    this.#inside.counter = Math.floor(performance.now() * 1_000)
    // Heartbeats and the sweep of other replicas' wills: the sweep can end the process and publishes wills of
    // replicas that live.
    clearInterval(this.#inside._heartbeatInterval)
    clearInterval(this.#inside._clearWillInterval)
  }

  static async create(options: OrganizationAedesOptions): Promise<OrganizationAedes> {
    const { persistence } = options
    const aedes = new Aedes({
      id: options.replica,
      mq: options.emitter,
      persistence,
      concurrency: 0,
      heartbeatInterval: never,
    })
    aedes.on('error' as never, options.onError as never)
    await aedes.listen()
    const broker = new OrganizationAedes(aedes, options)
    await broker.#hearClaims()
    await broker.#groups.hear((filter, deliver) => broker.subscribe(filter, deliver))
    return broker
  }

  /** The client is about to claim its id: call it before the claim is made. */
  expect(client: AedesClient): void {
    this.#claims.expect(client)
  }

  /**
   * The client has claimed its id. The last claim wins [MQTT-3.1.4-3], on every replica: resolves with true once
   * a former connection here is gone, with false when the client has been told that a later one has the id.
   */
  async register(client: AedesClient, epoch: number): Promise<boolean> {
    if (client.closed || !this.#claims.granted(client, epoch)) return false
    for (let former = this.#inside.clients[client.id]; former !== undefined;) {
      const closing = former
      await new Promise<void>((resolve) => closing.close(resolve))
      if (client.closed) return false
      former = this.#inside.clients[client.id]
      if (former === closing) this.unregister(closing)
    }
    this.#inside.clients[client.id] = client
    return true
  }

  unregister(client: AedesClient): void {
    this.#claims.remove(client)
    // Another connection may hold the id by now.
    if (this.#inside.clients[client.id] === client) delete this.#inside.clients[client.id]
  }

  /**
   * Resolves once the message is stored, retained and queued as far as it must be, given to the subscribers
   * here and, above QoS 0, on its way to the other replicas. Undefined when all that is done already.
   */
  publish(message: Message, client?: AedesClient): Promise<void> | undefined {
    // Nobody is told that a message is stored for a session that this replica has not heard of.
    if (message.qos === 0 || !this.#emitter.isCutOff) return this.#publish(message, client)
    return this.persistence.catchUp().then(() => this.#publish(message, client))
  }

  #publish(message: Message, client: AedesClient | undefined): Promise<void> | undefined {
    const { topic, qos, retain } = message
    if (qos === 0) this.#share(message, client)
    if (client !== undefined && !retain && (qos === 0 || !this.persistence.isQueued(topic))) {
      return this.#emitter.route(new ClientMessage(message, this.#replica, this.#nextCounter(), client.id))
    }
    return new Promise((resolve, reject) => {
      // Aedes names the publisher only after it has queued; no-local is decided before [MQTT-3.8.3-3].
      const named = client === undefined || message.qos === 0 ? message : { ...message, clientId: client.id }
      this.#inside.publish(named, client, (error) => (error ? reject(error) : resolve()))
    })
  }

  /** Above QoS 0 the store does. */
  #share(message: Message, client: AedesClient | undefined): void {
    const groups = this.persistence.groupsOf(message.topic)
    if (groups.length === 0) return
    const named = new ClientMessage(message, this.#replica, this.#nextCounter(), client?.id ?? '')
    this.#groups.share(named, groups)
  }

  #nextCounter(): number {
    this.#inside.counter += 1
    return this.#inside.counter
  }

  /** Otherwise, of aedes' steps only the last is left to do: to hand it to the emitter, at once. */
  needsStore({ topic, qos, retain }: Message): boolean {
    return retain || (qos > 0 && (this.#emitter.isCutOff || this.persistence.isQueued(topic)))
  }

  /** What is a connection's own is no business of aedes. */
  subscribe(filter: string, deliver: Deliver): Promise<void> {
    if (!comesLive(filter)) return Promise.resolve()
    return new Promise((resolve) => this.#inside.subscribe(filter, deliver, resolve))
  }

  unsubscribe(filter: string, deliver: Deliver): Promise<void> {
    if (!comesLive(filter)) return Promise.resolve()
    return new Promise((resolve) => this.#inside.unsubscribe(filter, deliver, resolve))
  }

  /** To the replica that has, or had, the former connection; the bus sees to it that it arrives. */
  tellClaim(id: string, epoch: number): void {
    const topic = `$SYS/${this.#replica}/claims`
    const claim = { topic, payload: Buffer.from(`${epoch} ${id}`), qos: 0, retain: false } as const
    this.#emitter.tell(new ClientMessage(claim, this.#replica, this.#nextCounter(), id))
  }

  #hearClaims(): Promise<void> {
    return this.subscribe(claimsFilter, ({ payload }, done) => {
      const [, epoch, id] = /^(\d+) ([^]*)$/.exec(payload.toString()) ?? []
      if (epoch !== undefined && id !== undefined) this.#claims.announced(id, Number(epoch))
      done()
    })
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#aedes.close(resolve))
    await this.persistence.destroy()
  }
}

/** What the broker tells one connection, and what members of a group are given, does not come by aedes. */
const comesLive = (filter: string): boolean => !isOwnFilter(filter) && !isSharedFilter(filter)

const claimsFilter = '$SYS/+/claims'
