import { isDomainError } from '#core/errors.ts'
import { errorFields, type Log } from '#core/process/logger.ts'
import type { ResourceKindName } from '#core/resources/index.ts'
import type { IdentityWriter } from '#core/stores/identity-store.ts'
import type { Cancel, Time } from '../runtime/time.ts'

export interface FullPassOptions {
  readonly store: Pick<IdentityWriter, 'isReady' | 'markReady'>
  /** Comes before anything is written. */
  readonly takeOver: () => Promise<void>
  /** Reconciles every object there is, and says which: `<kind> <key>`. */
  readonly enqueueAll: () => readonly string[]
  readonly sweepOrphans: () => Promise<number>
  readonly time: Time
  readonly log: Log
}

const periodMs = 1_000

/** An object that fails this often in a row holds up nobody else: the others are ready without it. */
const failuresThatCount = 8

/**
 * Sees to it that the store holds everything and says so. Passes over all objects at the start, after Redis was
 * away or another one, and when the store has lost its mark, as after a flush; then removes orphans and marks the store ready.
 * While Redis is away it waits.
 */
export class FullPass {
  readonly #options: FullPassOptions
  readonly #pending = new Set<string>()
  #state: 'needed' | 'running' | 'complete' = 'needed'
  #isChecking = false
  #isStopped = false
  #cancel: Cancel | undefined

  constructor(options: FullPassOptions) {
    this.#options = options
  }

  start(): void {
    void this.#check()
  }

  /** What was written last may be lost: there is another pass, soon. */
  again(): void {
    this.#state = 'needed'
  }

  stop(): void {
    this.#isStopped = true
    this.#cancel?.()
  }

  /** Whether everything there was at the last pass is in the store. */
  isComplete(): boolean {
    return this.#state === 'complete'
  }

  succeeded(kind: ResourceKindName, key: string): void {
    this.#settle(`${kind} ${key}`)
  }

  failed(kind: ResourceKindName, key: string, error: unknown, failures: number): void {
    if (isDomainError(error, 'store-unavailable')) return
    if (isDomainError(error, 'superseded')) return this.again()
    if (failures + 1 >= failuresThatCount) this.#settle(`${kind} ${key}`)
  }

  get #isRunning(): boolean {
    return this.#state === 'running'
  }

  #settle(item: string): void {
    if (this.#pending.delete(item) && this.#pending.size === 0) void this.#check()
  }

  async #check(): Promise<void> {
    if (this.#isChecking || this.#isStopped) return
    this.#isChecking = true
    this.#cancel?.()
    try {
      await this.#advance()
    } catch (error) {
      // What failed meanwhile waits for long: it has to be asked for again.
      this.#state = 'needed'
      if (!isDomainError(error, 'store-unavailable')) {
        this.#options.log.error(errorFields(error), 'the pass over all objects failed; it begins again')
      }
    }
    this.#isChecking = false
    if (!this.#isStopped) this.#cancel = this.#options.time.after(periodMs, () => void this.#check())
  }

  async #advance(): Promise<void> {
    const { store, log } = this.#options
    const isReady = await store.isReady()
    if (this.#state === 'complete' && !isReady) {
      log.warn({}, 'the store has lost its records; writing them again')
      this.#state = 'needed'
    }
    if (this.#state === 'needed') {
      await this.#options.takeOver()
      this.#state = 'running'
      for (const item of this.#options.enqueueAll()) this.#pending.add(item)
      log.info({ objects: this.#pending.size }, 'reconciling everything')
    }
    if (this.#state === 'running' && this.#pending.size === 0) await this.#complete()
  }

  async #complete(): Promise<void> {
    const { store, sweepOrphans, log } = this.#options
    const orphans = await sweepOrphans()
    await store.markReady()
    if (!this.#isRunning) return
    this.#state = 'complete'
    log.info({ orphans }, 'everything is in the store')
  }
}
