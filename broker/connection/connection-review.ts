import { setTimeout as pause } from 'node:timers/promises'
import { errorFields } from '#core/process/logger.ts'
import { isOriginAllowed } from '../listeners/origin.ts'
import type { Connection } from './connection.ts'
import { judgeAgain } from './judge-again.ts'

const retryMs = 1_000

/** Looks again at what a connection was let in as. Any number of requests at once become one more look. */
export class ConnectionReview {
  readonly #connection: Connection
  #looking: Promise<void> = Promise.resolve()
  #state: 'early' | 'early-asked' | 'idle' | 'running' | 'again' = 'early'

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Before this, requests are only kept in mind: there is nothing yet to look at again. */
  begin(): void {
    const wasAsked = this.#state === 'early-asked'
    this.#state = 'idle'
    if (wasAsked) void this.request()
  }

  /** Resolves once it has looked, and done what follows; at once while it is still connecting. */
  request(): Promise<void> {
    if (this.#state.startsWith('early')) {
      this.#state = 'early-asked'
      return Promise.resolve()
    }
    if (this.#state === 'idle') this.#looking = this.#run()
    else this.#state = 'again'
    return this.#looking
  }

  async #run(): Promise<void> {
    do {
      this.#state = 'running'
      await this.#look()
    } while ((this.#state as string) === 'again')
    this.#state = 'idle'
  }

  async #look(): Promise<void> {
    const { session, options } = this.#connection
    if (session === undefined || this.#connection.closed) return
    const { admission, refusal, cause } = {
      admission: undefined,
      refusal: undefined,
      cause: undefined,
      ...(await options.admissions.review(session.admission)),
    }
    if (refusal === 'unavailable') {
      options.log.warn(
        { clientId: session.clientId, ...errorFields(cause) },
        'records could not be read again',
      )
      await pause(retryMs, undefined, { ref: false })
      this.#state = 'again'
    } else if (
      admission === undefined ||
      !isOriginAllowed(this.#connection.transport, admission.organization)
    ) {
      await this.#connection.end('revoked')
    } else {
      session.admission = admission
      session.rate.limit(admission.rates)
      this.#connection.armExpiry()
      await judgeAgain(this.#connection, session).catch(() => this.#connection.end('unavailable'))
    }
  }
}
