import { type Clock, systemClock } from '#core/clock.ts'
import type {
  Applied,
  ControlEntry,
  ControlLog,
  ControlLogHandler,
  ControlLogSubscription,
} from './control-log.ts'

const mostRemembered = 1_000

/** The same contract in one process: nothing is ever missed. */
export class MemoryControlLog implements ControlLog {
  readonly #handlers = new Set<ControlLogHandler>()
  /** What became of the last entries, by position. */
  readonly #done = new Map<string, Promise<number>>()
  readonly #now: Clock
  #position = 0

  constructor(now: Clock = systemClock) {
    this.#now = now
  }

  async append(entry: ControlEntry): Promise<string> {
    this.#position += 1
    const position = String(this.#position)
    const ended = Array.from(this.#handlers, (handler) => handler.entry(entry, this.#now()))
    this.#done.set(
      position,
      Promise.all(ended).then((counts) => counts.reduce<number>((sum, count) => sum + (count ?? 0), 0)),
    )
    this.#done.delete(String(this.#position - mostRemembered))
    return position
  }

  async applied(positions: readonly string[]): Promise<Applied> {
    const ended = await Promise.all(positions.map((position) => this.#done.get(position)))
    return { ended: ended.reduce<number>((sum, count) => sum + (count ?? 0), 0), missing: [] }
  }

  async follow(handler: ControlLogHandler): Promise<ControlLogSubscription> {
    // One registration per call, also for a handler that follows twice.
    const own: ControlLogHandler = {
      entry: (entry, at) => handler.entry(entry, at),
      gap: () => handler.gap(),
    }
    this.#handlers.add(own)
    return { staleness: () => 0, close: async () => void this.#handlers.delete(own) }
  }
}
