import { EventEmitter } from 'node:events'
import MQEmitterRedis, { type Listener } from 'mqemitter-redis'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { RoutedMessage } from '../aedes/messages.ts'
import type { Bus, IsServedElsewhere, Leave, Lost } from './bus.ts'

type Done = (error?: Error) => void

const mostTopicsRemembered = 10_000
const noop = (): void => {}

/**
 * The emitter of one organization's aedes: mqemitter-redis with its delivery inside the process and another
 * way between processes. It has one channel, not one per topic filter: Redis matches PSUBSCRIBE patterns one
 * by one, for every PUBLISH of everybody. Subscribers here are served without waiting for Redis.
 */
export class OrganizationEmitter extends MQEmitterRedis<RoutedMessage> {
  readonly #bus: Bus
  readonly #organization: OrganizationId
  readonly #lost: Lost
  /** Whom a topic goes to, of the last ones that were used. */
  readonly #matching = new Map<string, readonly Listener<RoutedMessage>[]>()
  #leave: Leave = () => {}

  constructor(bus: Bus, organization: OrganizationId, lost: Lost) {
    // Its own connections stay silent: nothing is subscribed and nothing published on them.
    super({ subConn: new EventEmitter(), pubConn: new EventEmitter(), maxLRUCache: 1, ...mqttWildcards })
    this.#bus = bus
    this.#lost = lost
    this.#organization = organization
  }

  /** Resolves once messages of other replicas arrive. */
  async join(isServedElsewhere?: IsServedElsewhere): Promise<void> {
    this.#leave = await this.#bus.join(
      this.#organization,
      (message) => this.#deliver(message, noop),
      this.#lost,
      isServedElsewhere,
    )
  }

  /** Changes of stored subscriptions on other replicas may not be known here. */
  get isCutOff(): boolean {
    return this.#bus.isCutOff(this.#organization)
  }

  override on(topic: string, listener: Listener<RoutedMessage>, done?: () => void): this {
    this.#matching.clear()
    return this._on(topic, listener, done)
  }

  /** At once, and not at the end of the turn: what is remembered of topics holds from then on. */
  override removeListener(topic: string, listener: Listener<RoutedMessage>, done?: () => void): this {
    this._matcher.remove(topic, listener)
    this.#matching.clear()
    if (done !== undefined) setImmediate(done)
    return this
  }

  /** Done, for QoS 0, once it is delivered here; above, once it is also on its way to the other replicas. */
  override emit(message: RoutedMessage, done: Done = () => {}): this {
    const sent = crosses(message.topic) ? this.#bus.send(this.#organization, withBytes(message)) : undefined
    if (sent === undefined) {
      this.#deliver(message, done)
    } else if (message.qos === 0 && !message.topic.startsWith('$')) {
      // A QoS 0 message may be lost, but never silently take the process with it.
      sent.catch(() => {})
      this.#deliver(message, done)
    } else {
      this.#deliver(message, (error) => {
        if (error) done(error)
        else sent.then(() => done(), done)
      })
    }
    return this
  }

  /**
   * As emit, for a client's message. What is returned resolves, above QoS 0, once the message is on its way to
   * the other replicas; undefined when there is nothing to wait for.
   */
  route(message: RoutedMessage): Promise<void> | undefined {
    if (this.closed) return Promise.reject(new Error('the organization is closed'))
    const sent = this.#bus.send(this.#organization, message)
    this.#deliver(message, noop)
    if (message.qos > 0) return sent
    sent?.catch(noop)
    return undefined
  }

  /** To the other replicas only; for what may be lost when the store is away. */
  tell(message: RoutedMessage): void {
    this.#bus.send(this.#organization, message)?.catch(noop)
  }

  /** To the listeners here, in the order in which mqemitter finds them. */
  #deliver(message: RoutedMessage, done: Done): void {
    if (this.closed) return done(new Error('the organization is closed'))
    const listeners = this.#listenersOf(message.topic)
    const [first] = listeners
    if (first === undefined) return done()
    if (listeners.length === 1) return first.call(this, message, done)
    let left = listeners.length
    const oneIsDone = (): void => {
      left -= 1
      if (left === 0) done()
    }
    for (const listener of listeners) listener.call(this, message, oneIsDone)
  }

  #listenersOf(topic: string): readonly Listener<RoutedMessage>[] {
    const known = this.#matching.get(topic)
    if (known !== undefined) return known
    const listeners = this._matcher.match(topic)
    if (this.#matching.size >= mostTopicsRemembered) this.#matching.clear()
    this.#matching.set(topic, listeners)
    return listeners
  }

  override close(done: () => void): this {
    this.#leave()
    return this._close(done)
  }
}

/** Announcements of the persistence carry text. */
function withBytes(message: RoutedMessage): RoutedMessage {
  return Buffer.isBuffer(message.payload)
    ? message
    : { ...message, payload: Buffer.from(message.payload as string) }
}

// mqemitter-redis builds patterns of them; mqemitter has the same by default.
const mqttWildcards = { separator: '/', wildcardOne: '+', wildcardSome: '#', matchEmptyLevels: true }

/** Of `$SYS`, other replicas need to hear of claims on client ids and of stored subscriptions and their queues. */
function crosses(topic: string): boolean {
  return !topic.startsWith('$SYS/') || topic.endsWith('/claims') || topic.startsWith('$SYS/sub/')
}
