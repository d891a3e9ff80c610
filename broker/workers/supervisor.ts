import { setTimeout as pause } from 'node:timers/promises'
import { Counter, Gauge, type Registry } from 'prom-client'
import type { Log } from '#core/process/logger.ts'
import { type ProbeAnswer, textAnswer } from '#core/process/probe-server.ts'
import { mergeMetricTexts } from './metric-text.ts'
import { Worker } from './worker.ts'

export interface SupervisorOptions {
  readonly count: number
  /** The program that each worker runs. */
  readonly program: string
  readonly log: Log
  /** Of this process. */
  readonly registry: Registry
  readonly times?: Partial<SupervisorTimes>
}

export interface SupervisorTimes {
  /** Between the end of a worker and its successor: doubled each time, up to the longest. */
  readonly firstRestartMs: number
  readonly longestRestartMs: number
  /** One that has run for so long has not failed again, but anew. */
  readonly soundMs: number
  readonly lookMs: number
  /** One that has not answered for so long hangs. */
  readonly mostSilentMs: number
}

const defaultTimes: SupervisorTimes = {
  firstRestartMs: 1_000,
  longestRestartMs: 30_000,
  soundMs: 60_000,
  lookMs: 5_000,
  mostSilentMs: 30_000,
}

/** Several workers that share the ports, each a replica of its own: one that ends is replaced. */
export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #times: SupervisorTimes
  /** By number; one that is to be replaced is not there. */
  readonly #workers = new Map<number, Worker>()
  readonly #keeping: Promise<void>[] = []
  readonly #stop = new AbortController()
  readonly #restarts: Counter

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#times = { ...defaultTimes, ...options.times }
    const registers = [options.registry]
    this.#restarts = new Counter({
      registers,
      name: 'cloudsignal_broker_worker_restarts_total',
      help: 'Workers that ended and were replaced',
    })
    const workers: Gauge = new Gauge({
      registers,
      name: 'cloudsignal_broker_workers',
      help: 'Worker processes that have taken the ports',
      collect: () => workers.set([...this.#workers.values()].filter(({ isReady }) => isReady).length),
    })
  }

  /** Resolves once all are ready; rejects when one ends before: then none can start. */
  async start(): Promise<void> {
    const numbers = Array.from({ length: this.#options.count }, (_, index) => index + 1)
    const first = numbers.map((number) => this.#spawn(number))
    await Promise.all(
      first.map((worker) =>
        Promise.race([
          worker.ready,
          worker.exited.then((code) => {
            if (!this.#stop.signal.aborted) throw new Error(`worker ${worker.number} ended with ${code}`)
          }),
        ]),
      ),
    )
    for (const worker of first) this.#keeping.push(this.#keep(worker), this.#watch(worker))
  }

  async answer(path: string): Promise<ProbeAnswer> {
    if (path === '/readyz') return this.#readiness()
    if (path === '/metrics') return this.#metrics()
    return path === '/healthz' ? textAnswer(200, 'ok') : textAnswer(404, 'ask /healthz, /readyz or /metrics')
  }

  /** Resolves once all are gone, each in the time that it takes to send its clients away. */
  async close(): Promise<void> {
    this.#stop.abort()
    const workers = [...this.#workers.values()]
    for (const worker of workers) worker.end()
    await Promise.all(workers.map(({ exited }) => exited))
    await Promise.all(this.#keeping)
  }

  /** Whatever became of the others. */
  kill(): void {
    for (const worker of this.#workers.values()) worker.kill()
  }

  #spawn(number: number): Worker {
    const worker = new Worker(number, this.#options.program)
    this.#workers.set(number, worker)
    this.#options.log.info({ worker: number, pid: worker.pid }, 'a worker was started')
    return worker
  }

  /** Replaces it, and each of its successors, as long as there shall be any. */
  async #keep(first: Worker): Promise<void> {
    const { firstRestartMs, longestRestartMs, soundMs } = this.#times
    let worker = first
    let restartMs = firstRestartMs
    for (;;) {
      const since = performance.now()
      const code = await worker.exited
      this.#workers.delete(worker.number)
      if (this.#stop.signal.aborted) return
      if (performance.now() - since > soundMs) restartMs = firstRestartMs
      this.#restarts.inc()
      this.#options.log.error({ worker: worker.number, code, restartMs }, 'a worker has ended')
      await pause(restartMs, undefined, { signal: this.#stop.signal }).catch(() => {})
      if (this.#stop.signal.aborted) return
      restartMs = Math.min(restartMs * 2, longestRestartMs)
      worker = this.#spawn(worker.number)
      this.#keeping.push(this.#watch(worker))
    }
  }

  /** Kills it when it hangs. */
  async #watch(worker: Worker): Promise<void> {
    const { lookMs, mostSilentMs } = this.#times
    let answeredAt = performance.now()
    while (this.#workers.get(worker.number) === worker) {
      await Promise.race([
        worker.exited,
        pause(lookMs, undefined, { signal: this.#stop.signal }).catch(() => {}),
      ])
      if (this.#stop.signal.aborted) return
      if ((await worker.ask('/healthz')) !== undefined) answeredAt = performance.now()
      if (performance.now() - answeredAt < mostSilentMs) continue
      this.#options.log.error({ worker: worker.number }, 'a worker does not answer, and is killed')
      worker.kill()
      await worker.exited
      return
    }
  }

  /** Where one is missing, the others serve; one that is there has to be ready. */
  async #readiness(): Promise<ProbeAnswer> {
    const workers = [...this.#workers.values()]
    const ready = workers.filter(({ isReady }) => isReady)
    const asked = ready.length > 0 ? ready : workers
    const reasons = await Promise.all(
      asked.map(async (worker) => {
        const answer = await worker.ask('/readyz')
        if (answer?.status === 200) return []
        const lines = answer?.body.trim().split('\n') ?? ['does not answer']
        return lines.map((line) => `worker ${worker.number}: ${line}`)
      }),
    )
    if (this.#stop.signal.aborted) return textAnswer(503, 'process: shutting down')
    if (asked.length === 0) return textAnswer(503, 'workers: none runs')
    return reasons.flat().length === 0 ? textAnswer(200, 'ok') : textAnswer(503, reasons.flat().join('\n'))
  }

  async #metrics(): Promise<ProbeAnswer> {
    const workers = [...this.#workers.values()]
    const answers = await Promise.all(workers.map((worker) => worker.ask('/metrics')))
    const texts = answers.flatMap((answer) => (answer?.status === 200 ? [answer.body] : []))
    const { registry } = this.#options
    return {
      status: 200,
      type: registry.contentType,
      body: mergeMetricTexts([await registry.metrics(), ...texts]),
    }
  }
}
