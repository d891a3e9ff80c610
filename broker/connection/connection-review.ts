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
  /** Of those who asked while it was still connecting. */
  #early: PromiseWithResolvers<void> | undefined
  #state: 'early' | 'early-asked' | 'idle' | 'running' | 'again' = 'early'

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Resolves once it has looked, and done what follows, or has ended. */
  request(): Promise<void> {
    if (this.#connection.closed) return Promise.resolve()
    if (this.#state.startsWith('early')) {
      this.#state = 'early-asked'
      this.#early ??= Promise.withResolvers<void>()
      return this.#early.promise
    }
    if (this.#state === 'idle') this.#looking = this.#run()
    else this.#state = 'again'
    return this.#looking
  }

  /** It is let in, and nobody has been told: looks now if that was asked for. */
  lookEarly(): Promise<void> | undefined {
    return this.#state === 'early-asked' ? this.#runEarly() : undefined
  }

  /** Before this, requests are only kept in mind. Resolves once what was asked for is done. */
  begin(): Promise<void> | undefined {
    const wasAsked = this.#state === 'early-asked'
    this.#state = 'idle'
    if (!wasAsked) {
      this.#early?.resolve()
      return undefined
    }
    const looking = this.request()
    void looking.then(() => this.#early?.resolve())
    return looking
  }

  /** There is nothing to look at any more. */
  end(): void {
    this.#early?.resolve()
  }

  async #runEarly(): Promise<void> {
    while (this.#state === 'early-asked') {
      this.#state = 'early'
      if (await this.#look()) this.#state = 'early-asked'
    }
  }

  async #run(): Promise<void> {
    let mustAgain: boolean
    do {
      this.#state = 'running'
      mustAgain = await this.#look()
    } while (mustAgain || (this.#state as string) === 'again')
    this.#state = 'idle'
  }

  /** Whether it has to look once more. */
  async #look(): Promise<boolean> {
    const { session, options } = this.#connection
    if (session === undefined || this.#connection.closed) return false
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
      return true
    }
    if (admission === undefined || !isOriginAllowed(this.#connection.transport, admission.organization)) {
      const isOver = (session.admission.expiresAt ?? Infinity) <= options.now()
      await this.#connection.end(isOver ? 'expired' : 'revoked')
      return false
    }
    session.admission = admission
    session.rate.limit(admission.rates)
    this.#connection.armExpiry()
    await judgeAgain(this.#connection, session).catch(() => this.#connection.end('unavailable'))
    return false
  }
}
