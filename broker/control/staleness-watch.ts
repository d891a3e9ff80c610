import type { Log } from '#core/process/logger.ts'

export interface StalenessWatchOptions {
  /** Ms since the control log was last read to its end. */
  readonly staleness: () => number
  readonly mostMs: number
  /** Ends every connection that was let in. */
  readonly endAll: () => void
  readonly log: Log
}

const longestLookMs = 1_000

/**
 * A replica that could not read the control log for `mostMs` can not know who was revoked: it delivers nothing more,
 * lets nobody in, and sends everybody away, to a replica that knows.
 */
export class StalenessWatch {
  readonly #options: StalenessWatchOptions
  readonly #timer: NodeJS.Timeout
  #wasStale = false

  constructor(options: StalenessWatchOptions) {
    this.#options = options
    const everyMs = Math.min(longestLookMs, options.mostMs / 4)
    this.#timer = setInterval(() => this.#look(), everyMs).unref()
  }

  get isStale(): boolean {
    return this.#options.staleness() > this.#options.mostMs
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const { endAll, log, staleness } = this.#options
    const { isStale } = this
    if (isStale) endAll()
    if (isStale && !this.#wasStale) {
      log.error({ staleMs: Math.round(staleness()) }, 'the control log can not be read: nobody is served')
    }
    if (!isStale && this.#wasStale) log.info({}, 'the control log can be read again')
    this.#wasStale = isStale
  }
}
