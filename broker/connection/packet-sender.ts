import type { Message } from '../aedes/messages.ts'
import type { Transport } from '../listeners/transport.ts'
import { acknowledgementBytes, type AcknowledgementName } from '../wire/acknowledgements.ts'
import { encodePacket, type Packet, type ProtocolVersion } from '../wire/packets.ts'
import type { EncodedPublish } from '../wire/publish.ts'
import type { ConnectionOptions } from './connection-options.ts'
import type { DeliveryTerms } from './subscriptions.ts'
import { OutgoingAliases } from './topic-aliases.ts'
import { Writer } from './writer.ts'

/** What goes to one client: nothing above its Maximum Packet Size [MQTT-3.1.2-24], and no more than it takes. */
export class PacketSender {
  version: ProtocolVersion = 4
  /** The client's Maximum Packet Size (MQTT 5 §3.1.2.11.4). */
  maxBytes = Infinity
  readonly #options: ConnectionOptions
  readonly #end: (cause: 'too-slow' | 'unavailable') => void
  readonly #writer: Writer
  #aliases: OutgoingAliases | undefined

  /** `end` is called when more waits for the client than may, and when nobody may be served. */
  constructor(
    transport: Transport,
    options: ConnectionOptions,
    end: (cause: 'too-slow' | 'unavailable') => void,
  ) {
    this.#options = options
    this.#end = end
    this.#writer = new Writer(transport, () => {
      if (!options.watch.isStale) return true
      // Writing is part of ending.
      setImmediate(() => end('unavailable'))
      return false
    })
  }

  /** Bytes that the client has not taken. */
  get pending(): number {
    return this.#writer.pending
  }

  /** As many as the client takes (MQTT 5 §3.1.2.11.5). */
  useAliases(topicAliasMaximum: number): void {
    const most = Math.min(topicAliasMaximum, this.#options.limits.maxTopicAliases)
    if (most > 0) this.#aliases = new OutgoingAliases(most)
  }

  /** False when the client would not accept a packet of that size. */
  send(packet: Packet): boolean {
    const bytes = encodePacket(packet, this.version)
    if (!this.#accepts(bytes.length)) return false
    this.#writer.write(bytes)
    this.#boundPending()
    return true
  }

  /** PUBACK and its kin, without a reason other than success. */
  acknowledge(name: AcknowledgementName, messageId: number): void {
    if (!this.#accepts(acknowledgementBytes)) return
    this.#writer.acknowledge(name, messageId)
    this.#boundPending()
  }

  /** `messageId` is 0 for QoS 0. */
  publish(message: Message, terms: DeliveryTerms, messageId: number, dup: boolean): boolean {
    const { qos, retain, identifiers } = terms
    const isOwn = this.version === 5 && (identifiers !== undefined || this.#aliases !== undefined)
    if (isOwn) return this.#publishOwn(message, terms, messageId, dup)
    return this.#write(this.#options.frames.encode(message, this.version, qos, retain), messageId, dup)
  }

  #publishOwn(message: Message, terms: DeliveryTerms, messageId: number, dup: boolean): boolean {
    const aliases = this.#aliases
    const alias = aliases?.of(message.topic)
    const isKnown = aliases?.isKnown(message.topic) === true
    const encoded = this.#options.frames.encodeOwn(message, terms, alias, isKnown)
    const isSent = this.#write(encoded, messageId, dup)
    if (isSent && alias !== undefined && !isKnown) aliases?.told(message.topic, alias)
    return isSent
  }

  #write(encoded: EncodedPublish, messageId: number, dup: boolean): boolean {
    if (!this.#accepts(encoded.end - encoded.start)) return false
    this.#writer.publish(encoded, messageId, dup)
    this.#boundPending()
    return true
  }

  /** The last thing that goes out, where there is something to say. */
  close(goodbye?: Packet): void {
    if (goodbye !== undefined) {
      const bytes = encodePacket(goodbye, this.version)
      if (bytes.length <= this.maxBytes) this.#writer.write(bytes)
    }
    this.#writer.close()
  }

  #accepts(length: number): boolean {
    if (length <= this.maxBytes) return true
    this.#options.metrics.dropped('packet-too-large')
    return false
  }

  #boundPending(): void {
    if (this.pending > this.#options.limits.disconnectAboveBytes) this.#end('too-slow')
  }
}
