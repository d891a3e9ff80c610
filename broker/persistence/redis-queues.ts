import type { Redis } from 'ioredis'
import type { RoutedMessage } from '../aedes/messages.ts'
import { messageName, type QueuedMessage, type QueuePage, type QueueStep } from './session-persistence.ts'
import { applySteps, enqueue, readQueue } from './session-scripts.ts'
import { decodeMessage, encodeMessage, unexpired } from './stored-message.ts'

const bytesPerPage = 262_144
/** More sessions than these are several calls, sent at once. */
const sessionsPerCall = 2_000
/** Before the message: when it came, and the QoS that was granted. */
const headBytes = 9

export interface Enqueued {
  readonly revision: number
  readonly dropped: number
  /** Some of the sessions have ended. */
  readonly ended: boolean
}

/**
 * The queues of one organization's sessions in Redis. Each session has a copy of its own: counting references
 * to one copy costs the same number of commands for each message, and ending a session would cost as much as
 * it has waiting.
 */
export class RedisQueues {
  readonly #redis: Redis
  readonly #prefix: string

  constructor(redis: Redis, prefix: string) {
    this.#redis = redis
    this.#prefix = prefix
  }

  async enqueue(
    grants: ReadonlyMap<string, number>,
    message: RoutedMessage,
    most: number,
  ): Promise<Enqueued> {
    const head = [messageName(message), encodeMessage(message), most] as const
    const all = [...grants]
    const calls: Promise<unknown>[] = []
    for (let at = 0; at < all.length; at += sessionsPerCall) {
      const values = [...head, ...all.slice(at, at + sessionsPerCall).flat()]
      calls.push(enqueue(this.#redis, this.#prefix, values))
    }
    const answers = (await Promise.all(calls)) as [number, number, ...Buffer[]][]
    return {
      revision: Math.max(...answers.map(([revision]) => revision)),
      dropped: answers.reduce((sum, [, dropped]) => sum + dropped, 0),
      ended: answers.some((answer) => answer.length > 2),
    }
  }

  async page(id: string, after: string, count: number): Promise<QueuePage> {
    const values = [id, after === '' ? '-inf' : after, count, bytesPerPage]
    const answer = (await readQueue(this.#redis, this.#prefix, values)) as [
      Buffer,
      Buffer,
      number,
      ...Buffer[],
    ]
    const [time, next, isLast, ...fields] = answer
    const now = Number(time.toString())
    const messages: QueuedMessage[] = []
    for (let at = 0; at + 2 < fields.length; at += 3) {
      messages.push(
        queuedMessage(fields[at] as Buffer, fields[at + 1] as Buffer, fields[at + 2] as Buffer, now),
      )
    }
    return { messages, next: messages.length === 0 ? after : next.toString(), isLast: isLast === 1, now }
  }

  async apply(id: string, steps: readonly QueueStep[]): Promise<void> {
    const values = steps.flatMap(({ kind, name, messageId }) => [kind, name, messageId])
    await applySteps(this.#redis, this.#prefix, [id, ...values])
  }
}

function queuedMessage(name: Buffer, sent: Buffer, body: Buffer, now: number): QueuedMessage {
  const state = sent.toString('latin1')
  const storedAt = body.length < headBytes ? 0 : body.readDoubleBE(0)
  const stored = body.length < headBytes ? undefined : decodeMessage(body.subarray(headBytes))
  const left = stored && unexpired(stored, storedAt, now)
  const qos = Math.min(stored?.qos ?? 0, body[headBytes - 1] ?? 0) as 0 | 1 | 2
  return {
    name: name.toString(),
    storedAt,
    isReleased: state.endsWith('r'),
    ...(state === '' ? {} : { messageId: Number.parseInt(state, 10) }),
    ...(left === undefined ? {} : { message: { ...left, qos } }),
  }
}
