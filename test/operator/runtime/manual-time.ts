/** Time that passes only when a test says so, and helpers to wait for what real sockets do meanwhile. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Cancel, Time } from '../../../operator/runtime/time.ts'

export class ManualTime implements Time {
  #now = 1_000_000
  readonly #timers = new Set<{ at: number; run: () => void }>()

  now(): number {
    return 1_700_000_000_000 + this.#now
  }

  monotonic(): number {
    return this.#now
  }

  after(ms: number, run: () => void): Cancel {
    const timer = { at: this.#now + ms, run }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** How long from now each timer runs, shortest first. */
  get waits(): number[] {
    return [...this.#timers].map(({ at }) => at - this.#now).sort((left, right) => left - right)
  }

  /** Runs what falls due, in order, letting promises settle in between. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await settle()
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= end).sort((left, right) => left.at - right.at)[0]
      if (due === undefined) break
      this.#timers.delete(due)
      this.#now = Math.max(this.#now, due.at)
      due.run()
      await settle()
    }
    this.#now = end
    await settle()
  }

  /** Time passes, but no timer runs: an event loop that was blocked, or a machine that slept. */
  jump(ms: number): void {
    this.#now += ms
  }
}

/** Lets everything run that waits for nothing but promises. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await nextTurn()
}

/** Waits, in real time, until `condition` holds; throws what was awaited after five seconds. */
export async function eventually(what: string, condition: () => boolean): Promise<void> {
  const end = Date.now() + 5000
  while (!condition()) {
    if (Date.now() > end) throw new Error(`did not happen: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
