import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { ProbeAnswer } from '#core/process/probe-server.ts'
import type { FromWorker, ToWorker } from './messages.ts'
import { forwardLines } from './whole-lines.ts'

const answerMs = 2_000

/** The supervisor's end of one worker process. */
export class Worker {
  readonly number: number
  readonly exited: Promise<number | null>
  readonly #child: ChildProcess
  readonly #asked = new Map<number, (answer: ProbeAnswer | undefined) => void>()
  readonly #ready = Promise.withResolvers<void>()
  #lastId = 0
  #isReady = false

  /** Runs `program` anew, with the environment of this process. */
  constructor(number: number, program: string) {
    this.number = number
    this.#child = fork(program, ['worker', String(number)], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
    if (this.#child.stdout !== null) forwardLines(this.#child.stdout, (bytes) => process.stdout.write(bytes))
    if (this.#child.stderr !== null) forwardLines(this.#child.stderr, (bytes) => process.stderr.write(bytes))
    this.#child.on('message', (message: FromWorker) => this.#told(message))
    // Such as a signal to one that is gone.
    this.#child.on('error', () => {})
    // And all that it wrote is forwarded.
    this.exited = once(this.#child, 'close').then(([code]) => code as number | null)
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** It has taken its port. */
  get isReady(): boolean {
    return this.#isReady
  }

  get ready(): Promise<void> {
    return this.#ready.promise
  }

  /** Undefined when it does not answer in time. */
  async ask(path: string): Promise<ProbeAnswer | undefined> {
    const id = (this.#lastId += 1)
    const { promise, resolve } = Promise.withResolvers<ProbeAnswer | undefined>()
    this.#asked.set(id, resolve)
    const timer = setTimeout(() => resolve(undefined), answerMs)
    this.#send({ ask: path, id })
    const answer = await promise
    clearTimeout(timer)
    this.#asked.delete(id)
    return answer
  }

  end(): void {
    this.#send({ end: true })
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  #send(message: ToWorker): void {
    if (this.#child.connected) this.#child.send(message, () => {})
  }

  #told(message: FromWorker): void {
    if ('answer' in message) return this.#asked.get(message.id)?.(message.answer)
    this.#isReady = true
    this.#ready.resolve()
  }
}
