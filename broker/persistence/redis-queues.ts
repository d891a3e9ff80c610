import type { Cluster, Redis } from 'ioredis'
import type { RoutedMessage } from '../aedes/messages.ts'
import type { WritePromised } from './replicated-writes.ts'
import { messageName, type QueuedMessage, type QueuePage, type QueueStep } from './session-persistence.ts'
import { applySteps, enqueue, readQueue, takeBack } from './session-scripts.ts'
import { decodeMessage, encodeMessage, unexpired } from './stored-message.ts'

const bytesPerPage = 262_144
/** Of one call: more are several calls, sent at once. */
const sessionsPerCall = 2_000
const bytesPerCall = 1_048_576
/** Before the message: when it came, and the QoS that was granted. */
const headBytes = 9

export interface Enqueued {
  /** Number of the last change of subscriptions then. */
  readonly revision: number
  /** Some of the sessions have ended. */
  readonly ended: boolean
}

interface Batch {
  readonly values: (string | number | Buffer)[]
  readonly answer: Promise<Enqueued>
  sessions: number
  bytes: number
}

/**
 * The queues of one organization's sessions in Redis. Each session has a copy of its own: counting references
 * to one copy costs the same number of commands for each message, and ending a session would cost as much as
 * it has waiting.
 */
export class RedisQueues {
  readonly #redis: Redis | Cluster
  readonly #prefix: string
  readonly #write: WritePromised
  readonly #onDropped: (count: number) => void
  /** What this turn of the event loop has brought. */
  #batch: Batch | undefined

  constructor(
    redis: Redis | Cluster,
    prefix: string,
    write: WritePromised,
    onDropped: (count: number) => void,
  ) {
    this.#redis = redis
    this.#prefix = prefix
    this.#write = write
    this.#onDropped = onDropped
  }

  /** Messages of one turn of the event loop share a round trip, and its answer. */
  async enqueue(
    grants: ReadonlyMap<string, number>,
    message: RoutedMessage,
    most: number,
  ): Promise<Enqueued> {
    const name = messageName(message)
    const body = encodeMessage(message)
    const all = [...grants]
    const calls: Promise<Enqueued>[] = []
    for (let at = 0; at < all.length; at += sessionsPerCall) {
      const some = all.slice(at, at + sessionsPerCall)
      const batch = this.#batchFor(some.length, body.length, most)
      batch.values.push(name, body, some.length, ...some.flat())
      calls.push(batch.answer)
    }
    if (calls.length === 1 && calls[0] !== undefined) return calls[0]
    const answers = await Promise.all(calls)
    return {
      revision: Math.max(...answers.map(({ revision }) => revision)),
      ended: answers.some(({ ended }) => ended),
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

  #batchFor(sessions: number, bytes: number, most: number): Batch {
    const open = this.#batch
    const fits =
      open !== undefined && open.sessions + sessions <= sessionsPerCall && open.bytes + bytes <= bytesPerCall
    const batch = fits ? open : this.#openBatch(most)
    batch.sessions += sessions
    batch.bytes += bytes
    return batch
  }

  #openBatch(most: number): Batch {
    const { promise, resolve, reject } = Promise.withResolvers<Enqueued>()
    const batch: Batch = { values: [most], sessions: 0, bytes: 0, answer: promise }
    this.#batch = batch
    // After everything that is ready to run has run.
    process.nextTick(() => {
      if (this.#batch === batch) this.#batch = undefined
      this.#send(batch).then(resolve, reject)
    })
    return batch
  }

  async #send({ values }: Batch): Promise<Enqueued> {
    const answer = await this.#write({
      write: (redis) => enqueue(redis, this.#prefix, values),
      takeBack: (redis) => takeBack(redis, this.#prefix, values),
    })
    const [revision, dropped, ...ended] = answer as [number, number, ...Buffer[]]
    if (dropped > 0) this.#onDropped(dropped)
    return { revision, ended: ended.length > 0 }
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
