import type { Clock } from '#core/clock.ts'
import { ProviderUnavailable } from '../verifier/token-refused.ts'

interface State {
  /** In a row. */
  failures: number
  /** Nobody is asked before. */
  restUntil: number
  waiting: number
}

const failuresThatCount = 3
const restMs = 5_000
const mostWaiting = 100
const mostStates = 2_000

/**
 * How long one is waited for who does not answer: after three failures in a row nobody waits for the next five seconds, and
 * never do more than a hundred at a time. One that is down or slow holds up its own users only.
 */
export class Patience {
  readonly #now: Clock
  readonly #states = new Map<string, State>()

  constructor(now: Clock) {
    this.#now = now
  }

  /** Rejects with ProviderUnavailable, without beginning, where patience is at its end. */
  async spend<T>(whom: string, work: () => Promise<T>): Promise<T> {
    const state = this.#stateOf(whom)
    const rest = state.restUntil - this.#now()
    if (rest > 0) {
      throw new ProviderUnavailable('the provider failed just now', Math.ceil(rest / 1000))
    }
    if (state.waiting >= mostWaiting) throw new ProviderUnavailable('too many wait for the provider', 1)
    state.waiting += 1
    try {
      const result = await work()
      state.failures = 0
      return result
    } catch (error) {
      state.failures += 1
      if (state.failures >= failuresThatCount) state.restUntil = this.#now() + restMs
      throw error
    } finally {
      state.waiting -= 1
    }
  }

  #stateOf(whom: string): State {
    const state = this.#states.get(whom) ?? { failures: 0, restUntil: -Infinity, waiting: 0 }
    this.#states.delete(whom)
    this.#states.set(whom, state)
    for (const [oldest, { waiting }] of this.#states) {
      if (this.#states.size <= mostStates) break
      if (waiting === 0) this.#states.delete(oldest)
    }
    return state
  }
}
