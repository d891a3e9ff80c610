/**
 * Runs `reconcile(key)` whenever something about the object of that key may have changed, and again until it
 * succeeds. `reconcile` must be idempotent, read the state itself, and respect `signal`.
 *
 * What it does decides what follows:
 * - returns                   done; again after `requeueAfterMs`, when given
 * - throws TerminalError      done; only a change of the object runs it again
 * - throws an ApiError with   again, not before that time
 *   retryAfterMs
 * - throws anything else      again, after 5 ms .. 1000 s
 *
 * It never runs twice at once for one key. Sources may be watched before `start`; nothing runs until then, which
 * is how a standby keeps its caches warm.
 */
import { randomUUID } from 'node:crypto'
import { isApiError } from '../../kubernetes/api-error.ts'
import { errorFields, type Log } from './log.ts'
import type { ObjectHandler } from './mirror.ts'
import { keyOf, parseKey, type KubernetesObject } from './objects.ts'
import { hasChanged } from './predicates.ts'
import type { Reflector } from './reflector.ts'
import type { Time } from './time.ts'
import {
  WorkQueue,
  type Priority,
  type WorkContext,
  type WorkQueueMetrics,
  type WorkQueueState,
  type WorkResult,
} from './work-queue.ts'

/** A failure that trying again cannot mend, such as a reference to something that does not exist. */
export class TerminalError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'TerminalError'
  }
}

export interface ReconcileContext {
  readonly signal: AbortSignal
  /** One per run: put it into every log line. */
  readonly reconcileID: string
  readonly priority: Priority
  /** Failures in a row before this run. */
  readonly failures: number
}

export interface ReconcileResult {
  readonly requeueAfterMs?: number
}

export type Reconcile = (key: string, context: ReconcileContext) => Promise<ReconcileResult | void>

export type ReconcileOutcome = 'success' | 'error' | 'requeue_after'
export type ReconcileFailure = 'error' | 'terminal' | 'panic'

export interface ControllerMetrics {
  readonly queue: WorkQueueMetrics
  reconciled(outcome: ReconcileOutcome, seconds: number): void
  /** Beside `reconciled('error')`; `panic` is a mistake in our code, such as a TypeError. */
  failed(failure: ReconcileFailure): void
}

export interface ControllerOptions {
  /** Metric and log label, such as `mqttuser`. */
  readonly name: string
  readonly reconcile: Reconcile
  readonly time: Time
  readonly log: Log
  /** Default 10. */
  readonly concurrency?: number
  /** Of one reconcile; default 60 s. */
  readonly timeoutMs?: number
  readonly metrics?: ControllerMetrics
}

export interface WatchSourceOptions<T> {
  /** Keys to reconcile for an object of this source; its own key without it. */
  readonly keys?: (object: T) => Iterable<string>
  /** Whether an update matters; hasChanged without it. */
  readonly isRelevant?: (object: T, before: T) => boolean
  /** Nothing is enqueued, and the controller not held by the source, once it has aborted. */
  readonly signal?: AbortSignal
}

export class Controller {
  readonly name: string
  readonly #options: ControllerOptions
  readonly #queue: WorkQueue

  constructor(options: ControllerOptions) {
    this.name = options.name
    this.#options = options
    this.#queue = new WorkQueue({
      work: (key, context) => this.#work(key, context),
      concurrency: options.concurrency ?? 10,
      timeoutMs: options.timeoutMs ?? 60_000,
      time: options.time,
      ...(options.metrics === undefined ? {} : { metrics: options.metrics.queue }),
    })
  }

  /** Additions of the first list come with priority `resync`, all else with `live`. */
  watch<T extends KubernetesObject>(source: Reflector<T>, options: WatchSourceOptions<T> = {}): void {
    const keys = options.keys ?? ((object: T) => [keyOf(object)])
    const isRelevant = options.isRelevant ?? hasChanged
    const enqueue = (priority: Priority, ...objects: T[]): void => {
      for (const key of new Set(objects.flatMap((object) => [...keys(object)]))) this.enqueue(key, priority)
    }
    const handler: ObjectHandler<T> = {
      added: (object, initial) => enqueue(initial ? 'resync' : 'live', object),
      // What an object no longer refers to has changed as well.
      updated: (object, before) => isRelevant(object, before) && enqueue('live', object, before),
      deleted: (object) => enqueue('live', object),
    }
    source.addHandler(handler, options.signal)
  }

  enqueue(key: string, priority: Priority = 'live'): void {
    this.#queue.add(key, priority)
  }

  enqueueAfter(key: string, delayMs: number, priority: Priority = 'live'): void {
    this.#queue.addAfter(key, delayMs, priority)
  }

  start(): void {
    this.#queue.start()
  }

  /** Resolves when nothing runs any more, with false when runs had to be aborted after `drainMs`. */
  stop(drainMs: number): Promise<boolean> {
    return this.#queue.stop(drainMs)
  }

  state(): WorkQueueState {
    return this.#queue.state()
  }

  async #work(key: string, context: WorkContext): Promise<WorkResult> {
    const started = this.#options.time.monotonic()
    const reconcileID = randomUUID()
    const seconds = (): number => (this.#options.time.monotonic() - started) / 1000
    try {
      const result = await this.#options.reconcile(key, { ...context, reconcileID })
      const againAfterMs = result?.requeueAfterMs
      this.#options.metrics?.reconciled(againAfterMs === undefined ? 'success' : 'requeue_after', seconds())
      return againAfterMs === undefined ? { outcome: 'done' } : { outcome: 'done', againAfterMs }
    } catch (error) {
      this.#options.metrics?.reconciled('error', seconds())
      return this.#failed(key, error, { ...context, reconcileID })
    }
  }

  #failed(key: string, error: unknown, context: ReconcileContext): WorkResult {
    const failure = kindOf(error)
    this.#options.metrics?.failed(failure)
    const fields = {
      ...errorFields(error),
      ...parseKey(key),
      controller: this.name,
      reconcileID: context.reconcileID,
      failures: context.failures + 1,
    }
    this.#report(failure, error, fields)
    if (failure === 'terminal') return { outcome: 'done' }
    const atLeastMs = isApiError(error) ? error.retryAfterMs : undefined
    return atLeastMs === undefined ? { outcome: 'retry' } : { outcome: 'retry', atLeastMs }
  }

  #report(failure: ReconcileFailure, error: unknown, fields: object): void {
    const { log } = this.#options
    if (failure === 'panic') log.error(fields, 'reconcile failed by a mistake in the program')
    else if (failure === 'terminal') log.warn(fields, 'reconcile failed; waiting for a change')
    // Somebody else was faster: part of normal running.
    else if (isApiError(error, 'conflict')) log.debug(fields, 'reconcile met a conflict; trying again')
    else log.warn(fields, 'reconcile failed; trying again')
  }
}

function kindOf(error: unknown): ReconcileFailure {
  if (error instanceof TerminalError) return 'terminal'
  return error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError
    ? 'panic'
    : 'error'
}
