import { EventEmitter } from 'node:events'
import MQEmitterRedis, { type Listener } from 'mqemitter-redis'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { RoutedMessage } from '../aedes/messages.ts'
import type { Bus, IsServedElsewhere, Leave, Lost } from './bus.ts'

type Done = (error?: Error) => void

/**
 * The emitter of one organization's aedes: mqemitter-redis with its delivery inside the process and another
 * way between processes. It has one channel, not one per topic filter: Redis matches PSUBSCRIBE patterns one
 * by one, for every PUBLISH of everybody. Subscribers here are served without waiting for Redis.
 */
export class OrganizationEmitter extends MQEmitterRedis<RoutedMessage> {
  readonly #bus: Bus
  readonly #organization: OrganizationId
  readonly #lost: Lost
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
      (message) => this._emit(message),
      this.#lost,
      isServedElsewhere,
    )
  }

  override on(topic: string, listener: Listener<RoutedMessage>, done?: () => void): this {
    return this._on(topic, listener, done)
  }

  override removeListener(topic: string, listener: Listener<RoutedMessage>, done?: () => void): this {
    return this._removeListener(topic, listener, done)
  }

  /** Done, for QoS 0, once it is delivered here; above, once it is also on its way to the other replicas. */
  override emit(message: RoutedMessage, done: Done = () => {}): this {
    if (!crosses(message.topic)) return this._emit(message, done)
    const sent = this.#bus.send(this.#organization, withBytes(message))
    if (sent === undefined) return this._emit(message, done)
    if (message.qos === 0 && !message.topic.startsWith('$')) {
      // A QoS 0 message may be lost, but never silently take the process with it.
      sent.catch(() => {})
      return this._emit(message, done)
    }
    return this._emit(message, (error) => {
      if (error) done(error)
      else sent.then(() => done(), done)
    })
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

/** Of `$SYS`, other replicas need to hear of claims on client ids and of persistent subscriptions. */
function crosses(topic: string): boolean {
  return !topic.startsWith('$SYS/') || topic.endsWith('/claims') || topic.startsWith('$SYS/sub/')
}
