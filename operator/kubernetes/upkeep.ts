import { isDomainError } from '#core/errors.ts'
import { errorFields, type Log } from '#core/process/logger.ts'
import type { Cancel, Random, Time } from '../runtime/time.ts'

export interface UpkeepOptions {
  /** Between two rounds, give or take a fifth, so that replicas and installations do not act in step. */
  readonly intervalMs: number
  /** Whether there is anything to keep up: only when all records are in the store. */
  readonly isDue: () => boolean
  /** Whether a round is wanted at once. */
  readonly isUrgent: () => boolean
  /** One round. */
  readonly round: () => Promise<void>
  readonly time: Time
  readonly random: Random
  readonly log: Log
}

const tickMs = 1_000

/** Looks again and again whether the store holds what it should. */
export class Upkeep {
  readonly #options: UpkeepOptions
  #dueAt: number
  #isStopped = false
  #cancel: Cancel | undefined

  constructor(options: UpkeepOptions) {
    this.#options = options
    this.#dueAt = this.#next()
  }

  start(): void {
    if (!this.#isStopped) this.#cancel = this.#options.time.after(tickMs, () => void this.#tick())
  }

  /** Something was left to do: a round comes within a second. */
  soon(): void {
    this.#dueAt = this.#options.time.monotonic()
  }

  stop(): void {
    this.#isStopped = true
    this.#cancel?.()
  }

  async #tick(): Promise<void> {
    const { isDue, isUrgent, round, time, log } = this.#options
    if (isDue() && (isUrgent() || time.monotonic() >= this.#dueAt)) {
      this.#dueAt = this.#next()
      try {
        await round()
      } catch (error) {
        // Another round comes; that the store is away is told elsewhere.
        if (!isDomainError(error, 'store-unavailable'))
          log.error(errorFields(error), 'the upkeep of records failed')
      }
    }
    this.start()
  }

  #next(): number {
    const { intervalMs, time, random } = this.#options
    return time.monotonic() + intervalMs * (0.8 + 0.4 * random())
  }
}
