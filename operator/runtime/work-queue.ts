/**
 * Keys waiting for work, and the workers.
 *
 * - A key is queued at most once, and never worked on twice at once: added while it is worked on, it runs once
 *   more afterwards. Nothing added is lost while the queue runs.
 * - `live` keys go before `resync` keys, each group in order of arrival; adding a queued key as `live` moves it.
 * - A failed key returns after 5 ms, doubling with each failure in a row up to 1000 s; success forgets that.
 * - `add` and `addAfter` before `start` wait for it; after `stop` they are ignored.
 * - Work beyond `timeoutMs` has its signal aborted and its worker freed, but its key stays taken until the work
 *   really ends.
 * - `stop` starts nothing more, waits for running work, and after `drainMs` aborts it and returns.
 */
import { sleep, type Cancel, type Time } from './time.ts'

export type Priority = 'live' | 'resync'

export interface WorkContext {
  readonly priority: Priority
  /** How often this key failed in a row before. */
  readonly failures: number
  /** Aborts at the time limit and at the end of draining. */
  readonly signal: AbortSignal
}

/** `retry` also stands for a rejected promise; it never comes before `atLeastMs`. */
export type WorkResult =
  | { readonly outcome: 'done'; readonly againAfterMs?: number }
  | { readonly outcome: 'retry'; readonly atLeastMs?: number }

export interface WorkQueueOptions {
  readonly work: (key: string, context: WorkContext) => Promise<WorkResult>
  readonly concurrency: number
  readonly timeoutMs: number
  readonly time: Time
  readonly metrics?: WorkQueueMetrics
}

/** Durations in seconds, keys by name of the event. */
export interface WorkQueueMetrics {
  added(): void
  retried(): void
  started(waitedSeconds: number): void
  finished(workedSeconds: number): void
  timedOut(): void
}

export interface WorkQueueState {
  /** Ready to run, waiting for a worker. */
  readonly depth: number
  /** Being worked on, also beyond their time limit. */
  readonly processing: number
  /** Due later: retries and addAfter. */
  readonly waiting: number
  readonly activeWorkers: number
  /** Seconds of each running piece of work. */
  readonly runningSeconds: readonly number[]
}

interface Delayed {
  readonly dueAt: number
  readonly priority: Priority
  readonly cancel: Cancel
}

interface Running {
  readonly startedAt: number
  readonly controller: AbortController
  /** Set when the key was added meanwhile. */
  again: Priority | undefined
}

const firstRetryMs = 5
const lastRetryMs = 1_000_000

export class WorkQueue {
  readonly #options: WorkQueueOptions
  // Sets keep the order of insertion; the value is when the key became ready.
  readonly #ready: Record<Priority, Map<string, number>> = { live: new Map(), resync: new Map() }
  readonly #running = new Map<string, Running>()
  readonly #delayed = new Map<string, Delayed>()
  readonly #failures = new Map<string, number>()
  readonly #idle = new Set<() => void>()
  #activeWorkers = 0
  #state: 'new' | 'started' | 'stopped' = 'new'

  constructor(options: WorkQueueOptions) {
    this.#options = options
  }

  add(key: string, priority: Priority = 'live'): void {
    if (this.#state === 'stopped') return
    const running = this.#running.get(key)
    if (running === undefined) this.#enqueue(key, priority)
    else running.again = higher(running.again, priority)
    this.#fill()
  }

  /** When the key already waits, the earlier time counts. */
  addAfter(key: string, delayMs: number, priority: Priority = 'live'): void {
    if (this.#state === 'stopped') return
    if (delayMs <= 0) return this.add(key, priority)
    const dueAt = this.#options.time.monotonic() + delayMs
    const present = this.#delayed.get(key)
    if (present !== undefined && present.dueAt <= dueAt) return
    present?.cancel()
    const cancel = this.#options.time.after(delayMs, () => {
      this.#delayed.delete(key)
      this.add(key, priority)
    })
    this.#delayed.set(key, { dueAt, priority: higher(present?.priority, priority), cancel })
  }

  start(): void {
    if (this.#state !== 'new') throw new Error('a work queue starts once')
    this.#state = 'started'
    this.#fill()
  }

  /** Resolves with false when work had to be aborted. May be called before `start` and more than once. */
  async stop(drainMs: number): Promise<boolean> {
    this.#state = 'stopped'
    for (const { cancel } of this.#delayed.values()) cancel()
    this.#delayed.clear()
    const gaveUp = new AbortController()
    const drained = this.#whenIdle().then(() => gaveUp.abort())
    await Promise.race([drained, sleep(this.#options.time, drainMs, gaveUp.signal)])
    const isDrained = this.#running.size === 0
    for (const { controller } of this.#running.values()) controller.abort()
    return isDrained
  }

  state(): WorkQueueState {
    const now = this.#options.time.monotonic()
    return {
      depth: this.#ready.live.size + this.#ready.resync.size,
      processing: this.#running.size,
      waiting: this.#delayed.size,
      activeWorkers: this.#activeWorkers,
      runningSeconds: [...this.#running.values()].map(({ startedAt }) => (now - startedAt) / 1000),
    }
  }

  #enqueue(key: string, priority: Priority): void {
    const { live, resync } = this.#ready
    if (live.has(key) || (priority === 'resync' && resync.has(key))) return
    const since = resync.get(key)
    resync.delete(key)
    if (since === undefined) this.#options.metrics?.added()
    this.#ready[priority].set(key, since ?? this.#options.time.monotonic())
  }

  /** Gives free workers something to do. */
  #fill(): void {
    while (this.#state === 'started' && this.#activeWorkers < this.#options.concurrency) {
      const next = this.#take('live') ?? this.#take('resync')
      if (next === undefined) return
      void this.#process(next.key, next.priority)
    }
  }

  #take(priority: Priority): { key: string; priority: Priority } | undefined {
    for (const [key, since] of this.#ready[priority]) {
      this.#ready[priority].delete(key)
      this.#options.metrics?.started((this.#options.time.monotonic() - since) / 1000)
      return { key, priority }
    }
    return undefined
  }

  async #process(key: string, priority: Priority): Promise<void> {
    const { time, metrics } = this.#options
    const running: Running = {
      startedAt: time.monotonic(),
      controller: new AbortController(),
      again: undefined,
    }
    this.#running.set(key, running)
    this.#activeWorkers += 1
    const freeWorker = once(() => {
      this.#activeWorkers -= 1
    })
    const cancel = time.after(this.#options.timeoutMs, () => {
      metrics?.timedOut()
      running.controller.abort()
      freeWorker()
      this.#fill()
    })
    const result = await this.#work(key, priority, running.controller.signal)
    cancel()
    freeWorker()
    this.#running.delete(key)
    metrics?.finished((time.monotonic() - running.startedAt) / 1000)
    this.#settle(key, priority, result, running.again)
  }

  async #work(key: string, priority: Priority, signal: AbortSignal): Promise<WorkResult> {
    try {
      return await this.#options.work(key, { priority, signal, failures: this.#failures.get(key) ?? 0 })
    } catch {
      return { outcome: 'retry' }
    }
  }

  #settle(key: string, priority: Priority, result: WorkResult, again: Priority | undefined): void {
    if (result.outcome === 'retry') this.#retry(key, priority, result.atLeastMs ?? 0)
    else {
      this.#failures.delete(key)
      if (result.againAfterMs !== undefined) this.addAfter(key, result.againAfterMs, 'resync')
    }
    // By `add`, not past it: the requeue above may have started the key already.
    if (again !== undefined) this.add(key, again)
    this.#fill()
    if (this.#running.size === 0) for (const resolve of this.#idle) resolve()
  }

  #retry(key: string, priority: Priority, atLeastMs: number): void {
    const failures = (this.#failures.get(key) ?? 0) + 1
    this.#failures.set(key, failures)
    this.#options.metrics?.retried()
    const delayMs = Math.min(firstRetryMs * 2 ** (failures - 1), lastRetryMs)
    this.addAfter(key, Math.max(delayMs, atLeastMs), priority)
  }

  async #whenIdle(): Promise<void> {
    if (this.#running.size === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#idle.add(resolve)
    await promise
    this.#idle.delete(resolve)
  }
}

function higher(left: Priority | undefined, right: Priority): Priority {
  return left === 'live' ? left : right
}

function once(run: () => void): () => void {
  let hasRun = false
  return () => {
    if (hasRun) return
    hasRun = true
    run()
  }
}
