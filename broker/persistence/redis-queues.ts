import type { Cluster, Redis } from 'ioredis'
import { numbersPerMs } from '#core/stores/session-directory.ts'
import type { RoutedMessage } from '../aedes/messages.ts'
import { enqueueCalls } from './enqueue-calls.ts'
import { applySteps, enqueue, readQueue, takeBack } from './queue-scripts.ts'
import type { Recipients } from './recipients.ts'
import type { WritePromised } from './replicated-writes.ts'
import type { QueuedMessage, QueuePage, QueueStep } from './session-persistence.ts'
import { decodeMessage, unexpired } from './stored-message.ts'

const bytesPerPage = 262_144
/** Of one call: more are several calls, sent at once. */
const stepsPerCall = 1_000

/** Messages that were put into the queues by one call. */
export interface Enqueued {
  readonly messages: readonly RoutedMessage[]
  /** Of each message. */
  readonly recipients: readonly Recipients[]
  /** Number of the last change of subscriptions then. */
  readonly revision: number
  /** Some of the sessions have ended. */
  readonly ended: boolean
  /** Members of groups that were given some of them. */
  readonly picked: readonly string[]
}

export interface RedisQueuesOptions {
  readonly redis: Redis | Cluster
  readonly prefix: string
  /** How something is written that a publisher waits for. */
  readonly write: WritePromised
  readonly onDropped: (count: number) => void
  /** Called when they are in; `enqueue` resolves when it does. */
  readonly onEnqueued: (enqueued: Enqueued) => Promise<void> | void
}

/** What one turn of the event loop has brought. */
interface Arrivals {
  readonly messages: RoutedMessage[]
  readonly recipients: Recipients[]
  readonly most: number
  readonly done: Promise<void>
}

interface Steps {
  readonly values: (string | number)[]
  readonly done: Promise<void>
  count: number
}

/**
 * The queues of one organization's sessions in Redis. Each session has a copy of its own: counting references
 * to one copy costs the same number of commands for each message, and ending a session would cost as much as
 * it has waiting.
 */
export class RedisQueues {
  readonly #options: RedisQueuesOptions
  #arrivals: Arrivals | undefined
  #steps: Steps | undefined

  constructor(options: RedisQueuesOptions) {
    this.#options = options
  }

  /** Messages of one turn of the event loop share a round trip, and its promise. */
  enqueue(recipients: Recipients, message: RoutedMessage, most: number): Promise<void> {
    const arrivals = this.#arrivals ?? this.#openArrivals(most)
    arrivals.messages.push(message)
    arrivals.recipients.push(recipients)
    return arrivals.done
  }

  async page(id: string, after: string, count: number): Promise<QueuePage> {
    const { redis, prefix } = this.#options
    const values = [id, after === '' ? '-inf' : after, count, bytesPerPage]
    const answer = (await readQueue(redis, prefix, values)) as [Buffer, Buffer, number, ...Buffer[]]
    const [time, next, isLast, ...fields] = answer
    const now = Number(time.toString())
    const messages: QueuedMessage[] = []
    for (let at = 0; at + 3 < fields.length; at += 4) {
      const [name, number, sent, body] = fields.slice(at, at + 4) as [Buffer, Buffer, Buffer, Buffer]
      messages.push(queuedMessage(name, number, sent, body, now))
    }
    return { messages, next: messages.length === 0 ? after : next.toString(), isLast: isLast === 1, now }
  }

  /** So do steps, of whatever sessions. */
  apply(id: string, steps: readonly QueueStep[]): Promise<void> {
    if (steps.length <= stepsPerCall) return this.#applySome(id, steps)
    const calls: Promise<void>[] = []
    for (let at = 0; at < steps.length; at += stepsPerCall) {
      calls.push(this.#applySome(id, steps.slice(at, at + stepsPerCall)))
    }
    return Promise.all(calls).then(() => {})
  }

  #applySome(id: string, steps: readonly QueueStep[]): Promise<void> {
    const open = this.#steps
    const batch = open !== undefined && open.count + steps.length <= stepsPerCall ? open : this.#openSteps()
    const [sent, received, done] = (['sent', 'received', 'done'] as const).map((kind) =>
      steps.filter((step) => step.kind === kind),
    ) as [QueueStep[], QueueStep[], QueueStep[]]
    batch.values.push(id, sent.length + received.length, received.length, done.length)
    for (const { name, messageId } of sent) batch.values.push(name, messageId)
    for (const { name, messageId } of received) batch.values.push(name, `${messageId}r`)
    for (const { name } of done) batch.values.push(name)
    batch.count += steps.length
    return batch.done
  }

  #openSteps(): Steps {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const batch: Steps = { values: [], count: 0, done: promise }
    this.#steps = batch
    process.nextTick(() => {
      if (this.#steps === batch) this.#steps = undefined
      const { redis, prefix } = this.#options
      applySteps(redis, prefix, batch.values).then(() => resolve(), reject)
    })
    return batch
  }

  #openArrivals(most: number): Arrivals {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const arrivals: Arrivals = { messages: [], recipients: [], most, done: promise }
    this.#arrivals = arrivals
    // After everything that is ready to run has run.
    process.nextTick(() => {
      this.#arrivals = undefined
      this.#send(arrivals).then(resolve, reject)
    })
    return arrivals
  }

  async #send({ messages, recipients, most }: Arrivals): Promise<void> {
    const { prefix, write, onDropped, onEnqueued } = this.#options
    const answers = await Promise.all(
      enqueueCalls(messages, recipients, most).map(
        (values) =>
          write({
            write: (redis) => enqueue(redis, prefix, values),
            takeBack: (redis) => takeBack(redis, prefix, values),
          }) as Promise<[revision: number, dropped: number, ended: Buffer[], picked: Buffer[]]>,
      ),
    )
    const dropped = answers.reduce((total, [, count]) => total + count, 0)
    if (dropped > 0) onDropped(dropped)
    const revision = answers.reduce((newest, [each]) => Math.max(newest, each), 0)
    const ended = answers.some(([, , sessions]) => sessions.length > 0)
    const picked = answers.flatMap(([, , , ids]) => ids.map(String))
    await onEnqueued({ messages, recipients, revision, ended, picked })
  }
}

function queuedMessage(name: Buffer, number: Buffer, sent: Buffer, body: Buffer, now: number): QueuedMessage {
  const state = sent.toString('latin1')
  const storedAt = Math.floor(Number(number.toString()) / numbersPerMs)
  const stored = decodeMessage(body)
  const left = stored && unexpired(stored, storedAt, now)
  return {
    name: name.toString(),
    storedAt,
    isReleased: state.endsWith('r'),
    ...(state === '' ? {} : { messageId: Number.parseInt(state, 10) }),
    ...(left === undefined ? {} : { message: left }),
  }
}
