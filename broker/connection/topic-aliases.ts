import type { Publish } from '../wire/publish.ts'

/** Numbers that a client uses for its topics, on one connection (MQTT 5 §3.3.2.3.4). */
export class IncomingAliases {
  readonly #topics: string[] = []

  /** The packet with its topic, empty where the number stands for none yet; undefined for one above `most`. */
  resolve(packet: Publish, alias: number, most: number): Publish | undefined {
    if (alias === 0 || alias > most) return undefined
    if (packet.topic !== '') {
      this.#topics[alias] = packet.topic
      return packet
    }
    return { ...packet, topic: this.#topics[alias] ?? '' }
  }
}

/** Numbers that the broker uses for topics, on one connection: for the first ones, until there are no more. */
export class OutgoingAliases {
  readonly #numbers = new Map<string, number>()
  readonly #most: number

  /** `most` is the client's Topic Alias Maximum, or less [MQTT-3.1.2-26]. */
  constructor(most: number) {
    this.#most = most
  }

  /** Undefined where the topic has none and can get none. */
  of(topic: string): number | undefined {
    return this.#numbers.get(topic) ?? (this.#numbers.size < this.#most ? this.#numbers.size + 1 : undefined)
  }

  isKnown(topic: string): boolean {
    return this.#numbers.has(topic)
  }

  /** The client has been told. */
  told(topic: string, alias: number): void {
    this.#numbers.set(topic, alias)
  }
}
