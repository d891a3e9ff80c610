import type { Message } from '../aedes/messages.ts'
import { withIdentifiers, withTopicAlias } from '../wire/publish-properties.ts'
import { type EncodedPublish, encodePublish, isReusable, type Publish } from '../wire/publish.ts'
import type { DeliveryTerms } from './subscriptions.ts'

/**
 * The encoded packets of the message that is being delivered: its subscribers are served one after the other,
 * and those of one protocol version, QoS and retain flag get the same bytes.
 */
export class FrameCache {
  #message: Message | undefined
  #encoded: (EncodedPublish | undefined)[] = []
  #came: Publish | undefined
  #cameAs = 4

  /** This packet is about to be published: it may go to others just as it came. */
  came(packet: Publish, version: number): void {
    this.#came = packet
    this.#cameAs = version
  }

  encode(message: Message, version: number, qos: 0 | 1 | 2, retain: boolean): EncodedPublish {
    if (message !== this.#message) {
      this.#message = message
      this.#encoded = []
      if (this.#came?.payload === message.payload && isReusable(this.#came)) {
        this.#encoded[slotOf(this.#cameAs, this.#came.qos, false)] = this.#came.frame
      }
      this.#came = undefined
    }
    const slot = slotOf(version, qos, retain)
    const known = this.#encoded[slot]
    if (known !== undefined) return known
    const encoded = encodePublish(message, version, qos, retain)
    this.#encoded[slot] = encoded
    return encoded
  }

  /**
   * A packet of its own, for a client that is told which of its subscriptions matched, or that has an alias for
   * the topic; without the topic where it knows the alias.
   */
  encodeOwn(
    { topic, payload, properties }: Message,
    { qos, retain, identifiers }: DeliveryTerms,
    alias: number | undefined,
    isAliasKnown: boolean,
  ): EncodedPublish {
    const identified = identifiers === undefined ? properties : withIdentifiers(properties, identifiers)
    const own = alias === undefined ? identified : withTopicAlias(identified, alias)
    const content = {
      topic: isAliasKnown ? '' : topic,
      payload,
      ...(own === undefined ? {} : { properties: own }),
    }
    return encodePublish(content, 5, qos, retain)
  }
}

function slotOf(version: number, qos: number, retain: boolean): number {
  return (version === 5 ? 6 : 0) + qos * 2 + (retain ? 1 : 0)
}
