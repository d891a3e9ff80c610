import type { Message } from '../aedes/messages.ts'
import { messageExpiry, withMessageExpiry } from '../wire/message-expiry.ts'

interface Waiting {
  readonly message: Message
  /** Set when it was sent before: its time no longer counts [MQTT-4.3.3-7]. */
  readonly messageId?: number
  /** When its time is over, of `performance.now`; set by the list. */
  readonly deadline?: number
}

/** Messages that wait until a client can take them, oldest first, none longer than its time [MQTT-3.3.2-5]. */
export class WaitingList<Item extends Waiting> {
  readonly #expired: (item: Item) => void
  #items: Item[] = []
  #bytes = 0

  constructor(expired: (item: Item) => void) {
    this.#expired = expired
  }

  get length(): number {
    return this.#items.length
  }

  /** Of their payloads. */
  get bytes(): number {
    return this.#bytes
  }

  /** Packet ids under which some of them were sent before. */
  get messageIds(): Set<number> {
    return new Set(this.#items.flatMap(({ messageId }) => (messageId === undefined ? [] : [messageId])))
  }

  push(item: Item): void {
    const seconds = item.messageId === undefined ? messageExpiry(item.message.properties) : undefined
    const deadline = seconds === undefined ? undefined : performance.now() + seconds * 1_000
    this.#items.push(deadline === undefined ? item : { ...item, deadline })
    this.#bytes += item.message.payload.length
  }

  /** The next one, saying how much of its time is left [MQTT-3.3.2-6]. */
  shift(): Item | undefined {
    for (;;) {
      const item = this.#items.shift()
      if (item === undefined) return undefined
      this.#bytes -= item.message.payload.length
      if (item.deadline === undefined) return item
      const left = Math.ceil((item.deadline - performance.now()) / 1_000)
      if (left > 0) return aged(item, left)
      this.#expired(item)
    }
  }

  keep(keeps: (item: Item) => boolean): void {
    this.#items = this.#items.filter(keeps)
    this.#bytes = this.#items.reduce((sum, { message }) => sum + message.payload.length, 0)
  }
}

function aged<Item extends Waiting>(item: Item, seconds: number): Item {
  const { properties } = item.message
  // The same object as long as it is the same message: its encoded form is shared.
  if (properties === undefined || messageExpiry(properties) === seconds) return item
  return { ...item, message: { ...item.message, properties: withMessageExpiry(properties, seconds) } }
}
