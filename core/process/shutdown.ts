import { errorFields, type Log } from './logger.ts'

/** One step of a shutdown, such as closing a listener. Steps run in order, the last added first. */
export type ShutdownStep = () => unknown

/**
 * Ends a process in order. On SIGTERM or SIGINT it runs the steps in the reverse order of their adding, each
 * also when the one before failed, and exits with 0; after `graceMs`, or at a second signal, it exits with 1.
 */
export class Shutdown {
  readonly #steps: { readonly name: string; readonly step: ShutdownStep }[] = []
  readonly #log: Log
  readonly #abort = new AbortController()
  #running: Promise<void> | undefined
  #graceMs = 0

  constructor(log: Log) {
    this.#log = log
  }

  /** Aborts when the shutdown begins. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  add(name: string, step: ShutdownStep): void {
    this.#steps.push({ name, step })
  }

  /** Runs the steps once; a second call waits for the first. Never rejects. */
  run(): Promise<void> {
    this.#running ??= this.#run()
    return this.#running
  }

  /** `signals`: those that end it. */
  onSignals(graceMs: number, signals: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT']): void {
    this.#graceMs = graceMs
    for (const signal of signals) {
      process.on(signal, () => {
        if (this.#running !== undefined) process.exit(1)
        this.begin(signal)
      })
    }
  }

  /** As at a signal; nothing when it runs already. */
  begin(signal: string): void {
    if (this.#running !== undefined) return
    const graceMs = this.#graceMs
    this.#log.info({ signal }, 'shutting down')
    setTimeout(() => {
      this.#log.error({ graceMs }, 'shutting down took too long')
      process.exit(1)
    }, graceMs).unref()
    void this.run().then(() => process.exit(0))
  }

  async #run(): Promise<void> {
    this.#abort.abort(new Error('shutting down'))
    for (const { name, step } of this.#steps.toReversed()) {
      try {
        await step()
      } catch (error) {
        this.#log.error({ step: name, ...errorFields(error) }, 'a step of the shutdown failed')
      }
    }
  }
}
