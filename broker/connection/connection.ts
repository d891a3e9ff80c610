import { setTimeout as pause } from 'node:timers/promises'
import { errorFields } from '#core/process/logger.ts'
import type { AedesClient } from '../aedes/aedes-client.ts'
import type { Message, RoutedMessage } from '../aedes/messages.ts'
import type { Deliver } from '../aedes/organization-aedes.ts'
import { reportEnd } from '../audit/report-end.ts'
import { handleConnect } from '../handlers/connect.ts'
import { handlers } from '../handlers/index.ts'
import type { Summons } from '../persistence/summons.ts'
import type { Transport, TransportReceiver } from '../listeners/transport.ts'
import { type AcknowledgementName, parseAcknowledgement } from '../wire/acknowledgements.ts'
import { Framer } from '../wire/framer.ts'
import {
  hasPacketId,
  type IncomingPacket,
  type Packet,
  PacketParser,
  parseConnect,
  type ProtocolVersion,
  UnsupportedLevel,
} from '../wire/packets.ts'
import { PacketFault } from '../wire/packet-fault.ts'
import { reason, type ReasonCode } from '../wire/reason-codes.ts'
import { isPublishFrame, parsePublish, type Publish } from '../wire/publish.ts'
import { TopicMemo } from '../wire/topic-memo.ts'
import { ConnectionReview } from './connection-review.ts'
import type { ConnectionOptions } from './connection-options.ts'
import type { DeliveryTarget } from './delivery-options.ts'
import { type EndCause, endCauses, type EndCauseName } from './end-cause.ts'
import { endSession } from './end-session.ts'
import { ExpiryWatch } from './expiry-watch.ts'
import type { ConnectionSource } from './live-connections.ts'
import { PacketQueue } from './packet-queue.ts'
import { PacketSender } from './packet-sender.ts'
import type { Session } from './session.ts'
import type { DeliveryTerms } from './subscriptions.ts'
import { IncomingAliases } from './topic-aliases.ts'

const retireLookMs = 10
/** Aedes' own clients count here; ours tell from the message itself. */
const noDuplicates: Record<string, number> = Object.freeze(Object.create(null))

/**
 * One client, from its first byte to its last. Packets are handled strictly one after the other. Nothing that
 * a client sends or a store does makes any method here throw or reject.
 */
export class Connection implements TransportReceiver, AedesClient, DeliveryTarget {
  readonly options: ConnectionOptions
  readonly transport: Transport
  readonly duplicates = noDuplicates
  /** What aedes calls with each message that matches a subscription. */
  readonly deliver: Deliver
  /** Set once CONNECT was accepted. */
  session: Session | undefined
  /** It was told so. */
  isLetIn = false
  #source: ConnectionSource | undefined
  #parser: PacketParser | undefined
  #ended: Promise<void> | undefined
  #isAnswered = false
  #isOpened = false
  #lastReceived = performance.now()
  /** Names the message that was delivered last: kept itself, it would keep all alive that was read with it. */
  #lastCounter = -1
  #lastReplica = ''
  #incomingAliases: IncomingAliases | undefined
  #keepAlive: NodeJS.Timeout | undefined
  readonly #connectTimer: NodeJS.Timeout
  readonly #sender: PacketSender
  readonly #framer: Framer
  readonly #topics = new TopicMemo()
  readonly #packets: PacketQueue
  readonly #review = new ConnectionReview(this)
  /** Made for who has an end. */
  #expiry: ExpiryWatch | undefined

  constructor(transport: Transport, options: ConnectionOptions) {
    const { limits } = options
    this.options = options
    this.transport = transport
    this.#sender = new PacketSender(transport, options, (cause) => void this.end(cause))
    this.#framer = new Framer(limits.maxConnectBytes)
    this.#packets = new PacketQueue(transport, limits.maxQueuedPackets, (packet) => this.#handle(packet))
    this.deliver = (message, done) => {
      this.#deliver(message)
      done()
    }
    this.#connectTimer = setTimeout(() => void this.end('connect-timeout'), limits.connectTimeoutMs)
    transport.start(this)
  }

  get id(): string {
    return this.session?.id ?? ''
  }

  get clean(): boolean {
    return this.session?.isStored !== true
  }

  /** When it last sent something, in ms of the event loop. */
  get lastReceived(): number {
    return this.#lastReceived
  }

  get closed(): boolean {
    return this.#ended !== undefined
  }

  /** CONNACK is sent, and all that goes with it. */
  get isOpened(): boolean {
    return this.#isOpened
  }

  get pending(): number {
    return this.#sender.pending
  }

  /** Called by aedes: the same client has connected elsewhere. */
  close(done: () => void = () => {}): void {
    void this.end('taken-over').then(done)
  }

  /** Whether this barrier may end it; true while that is not known. */
  isBehind(barrier: string): boolean {
    if (this.#source?.type !== 'credential') return false
    return this.session?.admission.barriers.includes(barrier) !== false
  }

  /** Makes changes of this record find the connection; said before the record is read. */
  dependsOn(source: ConnectionSource): void {
    this.#source = source
    this.options.live.add(source, this)
  }

  /** CONNECT was accepted. `keepAliveSeconds` of 0 means no limit. */
  open(session: Session, keepAliveSeconds: number): void {
    clearTimeout(this.#connectTimer)
    this.session = session
    this.options.newcomers.leave(this.transport.remoteAddress)
    this.transport.signedIn()
    this.#framer.maxPacketBytes = this.options.limits.maxPacketBytes
    this.options.metrics.connected(this.transport.listener)
    if (keepAliveSeconds > 0) this.#watchKeepAlive(keepAliveSeconds * 1_500)
    this.armExpiry()
  }

  get version(): ProtocolVersion {
    return this.#sender.version
  }

  /** What the client takes, by its CONNECT (MQTT 5 §3.1.2.11). */
  accepts(maximumPacketSize: number, topicAliasMaximum: number): void {
    this.#sender.maxBytes = maximumPacketSize
    this.#sender.useAliases(topicAliasMaximum)
  }

  /** The packet with the topic that its alias stands for; undefined when there is no such alias. */
  withTopic(packet: Publish): Publish | undefined {
    const alias = packet.properties?.topicAlias
    if (alias === undefined) return packet
    this.#incomingAliases ??= new IncomingAliases()
    return this.#incomingAliases.resolve(packet, alias, this.options.limits.maxTopicAliases)
  }

  /** CONNACK is sent: what was asked for meanwhile is done. */
  opened(): Promise<void> | undefined {
    this.#isOpened = true
    // Nothing is said before CONNACK.
    this.#expiry?.arm()
    return this.#review.begin()
  }

  /** CONNACK is not sent yet: what was asked for is done. */
  lookWhileEarly(): Promise<void> | undefined {
    return this.#review.lookEarly()
  }

  /** Ends the connection when its credential ends, however quiet it is. */
  armExpiry(): void {
    if (this.session?.admission.expiresAt !== undefined) this.#expiry ??= new ExpiryWatch(this)
    this.#expiry?.arm()
  }

  /** The client has subscribed to what is said when its credential ends soon. */
  askedForExpiry(): void {
    this.#expiry?.asked()
  }

  /** Looks at the records again and follows them; while it is still connecting, once it is open. */
  async review(): Promise<void> {
    await this.#review.request()
  }

  send(packet: Packet): boolean {
    if (packet.cmd === 'connack') this.#isAnswered = true
    return this.#sender.send(packet)
  }

  acknowledge(name: AcknowledgementName, messageId: number): void {
    this.#sender.acknowledge(name, messageId)
  }

  sendPublish(message: Message, terms: DeliveryTerms, messageId: number, dup: boolean): boolean {
    return this.#sender.publish(message, terms, messageId, dup)
  }

  data(bytes: Buffer): void {
    if (this.closed) return
    this.#lastReceived = performance.now()
    const problem = this.#framer.push(bytes, this.#framed)
    if (problem === 'too-large') void this.end('packet-too-large')
    else if (problem === 'malformed') void this.end('malformed-packet')
  }

  disconnected(): void {
    void this.end('connection-lost')
  }

  /** Resolves once everything that depended on the connection is undone. The first cause counts. */
  end(cause: EndCauseName): Promise<void> {
    this.#ended ??= this.#end(cause).finally(() => this.options.gone(this))
    return this.#ended
  }

  /** Ends it because this replica goes: what was published is acknowledged first, and what was sent, if soon. */
  async retire(): Promise<void> {
    const until = performance.now() + this.options.limits.retireMs
    while (!this.closed && this.session?.delivery.isBusy === true && performance.now() < until) {
      await pause(retireLookMs)
    }
    this.transport.pause()
    const published = this.session?.publishing.drained
    if (published !== undefined) await Promise.race([published, pause(until - performance.now())])
    await this.end('shutting-down')
  }

  readonly #framed = (bytes: Buffer, start: number, end: number): void => {
    if (this.closed) return
    try {
      if (this.#parser === undefined) {
        const packet = parseConnect(bytes.subarray(start, end))
        this.#sender.version = packet.protocolVersion
        this.#parser = new PacketParser(packet.protocolVersion)
        this.#packets.push(packet)
      } else {
        this.#packets.push(this.#parse(this.#parser, bytes, start, end))
      }
    } catch (error) {
      this.options.log.debug({ ...this.#names(), ...errorFields(error) }, 'a malformed packet')
      // [MQTT-3.1.2-2]
      if (error instanceof UnsupportedLevel)
        this.send({ cmd: 'connack', returnCode: 1, sessionPresent: false })
      void this.end(error instanceof PacketFault ? error.kind : 'malformed-packet')
    }
  }

  #parse(parser: PacketParser, bytes: Buffer, start: number, end: number): IncomingPacket {
    if (isPublishFrame(bytes, start)) return parsePublish(bytes, this.version, start, end, this.#topics)
    return parseAcknowledgement(bytes, start, end) ?? parser.parse(bytes.subarray(start, end))
  }

  #handle(packet: IncomingPacket): Promise<void> | void {
    if (this.closed) return undefined
    try {
      const waiting = this.#dispatch(packet)
      return waiting?.catch((error) => this.failed(packet.cmd, error))
    } catch (error) {
      return this.failed(packet.cmd, error)
    }
  }

  #dispatch(packet: IncomingPacket): Promise<void> | void {
    if (this.session === undefined) {
      return packet.cmd === 'connect' ? handleConnect(this, packet) : void this.end('protocol-error')
    }
    if (!hasPacketId(packet)) return this.end('malformed-packet')
    const handler = handlers[packet.cmd]
    return handler === undefined
      ? void this.end('protocol-error')
      : handler(this, this.session, packet as never)
  }

  /** Something the client is owed could not be done: it is sent away, to come back. */
  failed(packet: IncomingPacket['cmd'], error: unknown): void {
    if (this.closed) return
    this.options.log.warn(
      { ...this.#names(), packet, ...errorFields(error) },
      'a packet could not be handled; the client is disconnected',
    )
    void this.end('unavailable')
  }

  #deliver(message: RoutedMessage): void {
    const { session } = this
    // Aedes calls once per matching filter, one after the other; termsFor looks at all of them.
    if (session === undefined || this.closed) return
    const { brokerCounter, brokerId } = message
    if (brokerCounter === this.#lastCounter && brokerId === this.#lastReplica) return
    this.#lastCounter = brokerCounter
    this.#lastReplica = brokerId
    try {
      const terms = session.subscriptions.termsFor(message, session.id, session.admission.access)
      if (terms !== undefined) session.delivery.live(message, terms)
    } catch (error) {
      this.options.log.error({ ...this.#names(), ...errorFields(error) }, 'a message could not be delivered')
    }
  }

  deliverShared(message: RoutedMessage, group: string): void {
    const { session } = this
    if (session === undefined || this.closed) return
    const terms = session.subscriptions.termsForGroup(message, group, session.admission.access)
    if (terms !== undefined) session.delivery.live(message, terms)
  }

  lookForShared(why: Summons['why']): void {
    const delivery = this.session?.delivery
    if (why === 'more') delivery?.lookForMore()
    else delivery?.lookForMissed()
  }

  #watchKeepAlive(limitMs: number): void {
    const check = (): void => {
      const left = limitMs - (performance.now() - this.#lastReceived)
      // [MQTT-3.1.2-22]
      if (left <= 0) void this.end('keep-alive')
      else this.#keepAlive = setTimeout(check, left + 1)
    }
    this.#keepAlive = setTimeout(check, limitMs)
  }

  async #end(cause: EndCauseName): Promise<void> {
    for (const timer of [this.#connectTimer, this.#keepAlive]) clearTimeout(timer)
    this.#expiry?.close()
    this.#packets.clear()
    this.#review.end()
    this.session?.publishing.close()
    this.#sayGoodbye(cause)
    reportEnd(this, this.session, cause)
    if (this.#source !== undefined) this.options.live.remove(this.#source, this)
    if (this.session === undefined) return this.options.newcomers.leave(this.transport.remoteAddress)
    this.options.metrics.ended(this.transport.listener, cause)
    try {
      await endSession(this, this.session, cause)
    } catch (error) {
      this.options.log.warn({ ...this.#names(), ...errorFields(error) }, 'a session was not put away')
    }
  }

  #sayGoodbye(cause: EndCauseName): void {
    const { code }: EndCause = endCauses[cause]
    // [MQTT-3.2.0-1]: nothing comes before CONNACK.
    const isTold = this.#isAnswered && this.version === 5 && code !== undefined
    this.#sender.close(isTold ? this.#goodbye(code) : undefined)
    if (cause === 'disconnected') this.transport.release()
    else this.transport.end()
  }

  #goodbye(reasonCode: ReasonCode): Packet {
    const { serverReference } = this.options
    // MQTT 5 §4.11
    return reasonCode === reason.serverShuttingDown && serverReference !== undefined
      ? { cmd: 'disconnect', reasonCode: reason.useAnotherServer, properties: { serverReference } }
      : { cmd: 'disconnect', reasonCode }
  }

  #names(): object {
    const organization = this.#source?.organization
    const user = this.#source?.name
    return { organization, user, clientId: this.session?.clientId, remote: this.transport.remoteAddress }
  }
}
