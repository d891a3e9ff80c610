import type { Cluster, Redis } from 'ioredis'
import { DomainError } from '#core/errors.ts'
import { errorFields, type Log } from '#core/process/logger.ts'
import { fromRedis } from '#core/stores/redis-connection.ts'

/** One write of what a publisher is told of only when it can no longer be lost. */
export interface PromisedWrite<T> {
  write(redis: Redis | Cluster): Promise<T>
  /** Undoes what was written and can not be promised: the publisher comes again with it. */
  takeBack?(redis: Redis | Cluster): Promise<unknown>
}

/** How something is written that a publisher waits for. */
export type WritePromised = <T>(promised: PromisedWrite<T>) => Promise<T>

interface Waiting extends PromisedWrite<unknown> {
  resolve(value: unknown): void
  reject(error: unknown): void
}

/** Below the time after which the connection gives up a command. */
const confirmedWithinMs = 1_000

/**
 * Writes that resolve once a replica of Redis has them too, so that they outlive the loss of the master: those
 * of all organizations that want it, over a connection of their own, as WAIT holds up everything behind it and
 * answers for this connection alone. One group is under way at a time, and what comes meanwhile is the next.
 */
export class ReplicatedWrites {
  readonly #redis: Redis
  readonly #log: Log
  #waiting: Waiting[] = []
  #isWorking = false
  #isConfirmed = true

  constructor(redis: Redis, log: Log) {
    this.#redis = redis
    this.#log = log
  }

  /** Rejects with `store-unavailable` when no replica says in time that it has the write. */
  run<T>(promised: PromisedWrite<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ ...promised, resolve: resolve as Waiting['resolve'], reject })
      if (!this.#isWorking) void this.#work()
    })
  }

  async #work(): Promise<void> {
    this.#isWorking = true
    // What the same turn brings goes along.
    await Promise.resolve()
    while (this.#waiting.length > 0) {
      const group = this.#waiting
      this.#waiting = []
      await this.#perform(group)
    }
    this.#isWorking = false
  }

  async #perform(group: readonly Waiting[]): Promise<void> {
    const { stream } = this.#redis
    const written = await Promise.allSettled(group.map(async (each) => each.write(this.#redis)))
    const isAnyWritten = written.some(({ status }) => status === 'fulfilled')
    const failure = isAnyWritten ? await this.#confirm(stream) : undefined
    await Promise.all(
      group.map(async ({ resolve, reject, takeBack }, index) => {
        const outcome = written[index]
        if (outcome?.status !== 'fulfilled') return reject(outcome?.reason)
        if (failure === undefined) return resolve(outcome.value)
        await takeBack?.(this.#redis).catch(() => {})
        reject(failure)
      }),
    )
  }

  /** Resolves with why everything written over this socket is not confirmed. */
  async #confirm(stream: Redis['stream']): Promise<DomainError | undefined> {
    const failure = await this.#wait(stream).catch((error: DomainError) => error)
    if ((failure === undefined) !== this.#isConfirmed) {
      this.#isConfirmed = failure === undefined
      if (failure === undefined) this.#log.info({}, 'a replica of Redis confirms writes again')
      else this.#log.warn(errorFields(failure), 'replicated messages are not acknowledged')
    }
    return failure
  }

  async #wait(stream: Redis['stream']): Promise<undefined> {
    // A new connection has written nothing yet: there WAIT would confirm anything.
    if (this.#redis.stream !== stream) throw unconfirmed('the connection to Redis was lost')
    const replicas = await fromRedis(() => this.#redis.wait(1, confirmedWithinMs))
    if (replicas < 1) throw unconfirmed('no replica of Redis confirmed it')
  }
}

const unconfirmed = (message: string): DomainError => new DomainError('store-unavailable', message)
