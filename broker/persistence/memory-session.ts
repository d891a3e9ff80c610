import type { RoutedMessage } from '../aedes/messages.ts'
import { groupOfCopy } from './group.ts'
import {
  messageName,
  type QueuedMessage,
  type QueuePage,
  type QueueStep,
  type SentMessage,
} from './session-persistence.ts'
import { unexpired } from './stored-message.ts'

interface Entry {
  readonly sequence: number
  readonly storedAt: number
  message: RoutedMessage | undefined
  messageId?: number
}

/** A copy that came by a group, on its way from one member to another. */
export interface SharedMessage {
  readonly name: string
  readonly message: RoutedMessage
  readonly storedAt: number
}

/** One stored session in this process: its queue in order of arrival, and what is under way. */
export class MemorySession {
  epoch = ''
  ending: NodeJS.Timeout | undefined
  /** Ms since the epoch; once it is left. */
  endsAt: number | undefined
  readonly incoming = new Set<number>()
  /** By name, in order of arrival. */
  readonly #queue = new Map<string, Entry>()
  #sequence = 0

  get queued(): number {
    return this.#queue.size
  }

  /** False when it does not fit. `group` is the one that it came by. */
  enqueue(message: RoutedMessage, qos: 0 | 1 | 2, now: number, most: number, group = ''): boolean {
    const name = `${messageName(message)}${group}`
    if (this.#queue.has(name)) return true
    if (this.#queue.size >= most) return false
    this.#sequence += 1
    const own = { ...message, qos: Math.min(message.qos, qos) as 0 | 1 | 2 }
    this.#queue.set(name, { sequence: this.#sequence, storedAt: now, message: own })
    return true
  }

  /** Takes out what came by this group and `isTaken` says. */
  takeOut(group: string, isTaken: (isSent: boolean, qos: number) => boolean): SharedMessage[] {
    const taken: SharedMessage[] = []
    for (const [name, { message, storedAt, messageId }] of this.#queue) {
      // Without a message PUBREL is next: the client has it.
      if (message === undefined || groupOfCopy(name) !== group) continue
      if (isTaken(messageId !== undefined, message.qos)) taken.push({ name, message, storedAt })
    }
    for (const { name } of taken) this.#queue.delete(name)
    return taken
  }

  put({ name, message, storedAt }: SharedMessage): void {
    this.#sequence += 1
    this.#queue.set(name, { sequence: this.#sequence, storedAt, message })
  }

  sent(): SentMessage[] {
    return [...this.#queue].flatMap(([name, { messageId }]) =>
      messageId === undefined ? [] : [{ name, messageId }],
    )
  }

  page(after: string, count: number, now: number): QueuePage {
    const from = after === '' ? 0 : Number(after)
    const messages: QueuedMessage[] = []
    let next = from
    for (const [name, entry] of this.#queue) {
      if (entry.sequence <= from) continue
      if (messages.length === count) return { messages, next: String(next), isLast: false, now }
      messages.push(queuedMessage(name, entry, now))
      next = entry.sequence
    }
    return { messages, next: String(next), isLast: true, now }
  }

  apply({ kind, name, messageId }: QueueStep): void {
    const entry = this.#queue.get(name)
    if (entry === undefined) return
    if (kind === 'done') {
      this.#queue.delete(name)
      return
    }
    entry.messageId = messageId
    if (kind === 'received') entry.message = undefined
  }
}

function queuedMessage(name: string, { storedAt, message, messageId }: Entry, now: number): QueuedMessage {
  const left = message && unexpired(message, storedAt, now)
  return {
    name,
    storedAt,
    isReleased: message === undefined,
    ...(messageId === undefined ? {} : { messageId }),
    ...(left === undefined ? {} : { message: left }),
  }
}
