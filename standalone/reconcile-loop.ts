import { setTimeout as pause } from 'node:timers/promises'
import { errorFields, type Log } from '#core/process/logger.ts'
import { resourceKindNames } from '#core/resources/index.ts'
import { type Reconcilers, reconcileOrder } from '../operator/reconcilers/index.ts'
import type { ResourceAddress } from '../operator/reconcilers/reconciler.ts'
import { systemTime } from '../operator/runtime/time.ts'
import { type WorkContext, WorkQueue, type WorkResult } from '../operator/runtime/work-queue.ts'
import type { StandaloneHost } from './standalone-host.ts'

export interface ReconcileLoopOptions {
  readonly host: StandaloneHost
  readonly reconcilers: Reconcilers
  /** Called once every object was reconciled and the orphans are gone. */
  readonly markReady: () => Promise<void>
  readonly log: Log
}

const retryMs = 250
const longestRetryMs = 30_000
const forgetEveryMs = 60_000

/**
 * Drives the reconcilers as the operator does: each object once, then the sweep and `markReady`; from then on
 * whatever changes, and what depends on it. What fails is tried again.
 */
export class ReconcileLoop {
  readonly #options: ReconcileLoopOptions
  readonly #queue: WorkQueue
  #gone: NodeJS.Timeout | undefined
  readonly #first = Promise.withResolvers<void>()
  /** Of the first pass: what has not succeeded yet. */
  readonly #outstanding = new Set<string>()

  constructor(options: ReconcileLoopOptions) {
    this.#options = options
    this.#queue = new WorkQueue({
      work: (key, context) => this.#work(key, context),
      concurrency: 4,
      timeoutMs: 60_000,
      time: systemTime,
    })
  }

  /** Resolves when the data plane may begin to serve. */
  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const { host } = this.#options
    host.onChange(({ of, ...address }) => {
      if (of === 'object') this.#enqueue(address)
    })
    const all = reconcileOrder.flatMap((kind) =>
      host.list(kind).map((object) => keyOf({ kind, ...object.metadata })),
    )
    for (const key of all) this.#outstanding.add(key)
    for (const key of all) this.#queue.add(key)
    this.#queue.start()
    if (all.length === 0) this.#first.resolve()
    const aborted = (): void => this.#first.reject(signal.reason)
    signal.addEventListener('abort', aborted, { once: true })
    await this.#first.promise
    await this.#finish(signal)
    this.#gone = setInterval(() => void this.#forgetGone(), forgetEveryMs).unref()
    signal.removeEventListener('abort', aborted)
  }

  async stop(): Promise<void> {
    clearInterval(this.#gone)
    await this.#queue.stop(5_000)
  }

  async #forgetGone(): Promise<void> {
    const { reconcilers, log } = this.#options
    await reconcilers.forgetGone().catch((error: unknown) => {
      log.warn(errorFields(error), 'what is gone could not be forgotten now; it is tried again')
    })
  }

  #enqueue(address: ResourceAddress): void {
    this.#queue.add(keyOf(address))
    const reconciler = this.#options.reconcilers.byKind[address.kind]
    for (const dependent of reconciler.dependents(address)) this.#queue.add(keyOf(dependent))
  }

  async #work(key: string, { failures }: WorkContext): Promise<WorkResult> {
    const address = addressOf(key)
    try {
      const outcome = await this.#options.reconcilers.byKind[address.kind].reconcile(address)
      if (this.#outstanding.delete(key) && this.#outstanding.size === 0) this.#first.resolve()
      return { outcome: 'done', ...outcome }
    } catch (error) {
      const { kind, namespace, name } = address
      this.#options.log.warn(
        { kind, namespace, name, ...errorFields(error) },
        'could not be reconciled; trying again',
      )
      return { outcome: 'retry', atLeastMs: backoffMs(failures) }
    }
  }

  async #finish(signal: AbortSignal): Promise<void> {
    for (let failures = 0; ; failures += 1) {
      try {
        await this.#options.reconcilers.sweepOrphans()
        await this.#options.markReady()
        return
      } catch (error) {
        this.#options.log.warn(errorFields(error), 'could not be made ready; trying again')
        await pause(backoffMs(failures), undefined, { signal })
      }
    }
  }
}

const backoffMs = (failures: number): number => Math.min(retryMs * 2 ** failures, longestRetryMs)

/** No name has a `/` in it. */
function keyOf({ kind, namespace, name }: ResourceAddress): string {
  return `${kind}/${namespace}/${name}`
}

function addressOf(key: string): ResourceAddress {
  const [kindName, namespace = '', name = ''] = key.split('/')
  const kind = resourceKindNames.find((candidate) => candidate === kindName)
  if (kind === undefined) throw new Error(`${key} is of no kind`)
  return { kind, namespace, name }
}
