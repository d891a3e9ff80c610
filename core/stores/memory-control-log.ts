import type { ControlEntry, ControlLog, ControlLogHandler, ControlLogSubscription } from './control-log.ts'

/** The same contract in one process: nothing is ever missed. */
export class MemoryControlLog implements ControlLog {
  readonly #handlers = new Set<ControlLogHandler>()

  async append(entry: ControlEntry): Promise<void> {
    for (const handler of this.#handlers) handler.entry(entry)
  }

  async follow(handler: ControlLogHandler): Promise<ControlLogSubscription> {
    // One registration per call, also for a handler that follows twice.
    const own: ControlLogHandler = { entry: (entry) => handler.entry(entry), gap: () => handler.gap() }
    this.#handlers.add(own)
    return { staleness: () => 0, close: async () => void this.#handlers.delete(own) }
  }
}
