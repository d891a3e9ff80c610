import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Cores, coresOf } from './cores.ts'

export interface WorkbenchOptions {
  /** Length of one measured window. */
  readonly seconds: number
  /** How often ours and the peer take turns. */
  readonly rounds: number
  /** Of the scenarios of the operator. */
  readonly users: number
  /** Where a CPU profile of our program is written. */
  readonly profile?: string
  /** Progress, for people. */
  readonly say: (line: string) => void
}

/** A process that the bench has started. */
export interface Tool {
  readonly pid: number
  output(): string
  /** The first match in what it has written to stdout and stderr; rejects when it ends without one. */
  wrote(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>
  /** Resolves with the exit code, null after a signal. */
  readonly exited: Promise<number | null>
  stop(signal?: NodeJS.Signals): Promise<void>
}

/** Characters of a process' output that are kept. */
const mostOutput = 1_048_576

/** Starts processes on their cores and makes sure that none outlives the run. */
export class Workbench {
  readonly options: WorkbenchOptions
  readonly cores: Cores
  /** Of this run only; removed with it. */
  readonly directory: string
  readonly #children = new Set<ChildProcess>()
  readonly #onExit = (): void => this.#endNow()

  constructor(options: WorkbenchOptions) {
    this.options = options
    this.cores = coresOf(readFileSync('/proc/self/status', 'utf8'))
    this.directory = mkdtempSync(join(tmpdir(), 'cloudsignal-bench-'))
    process.once('exit', this.#onExit)
  }

  start(
    cores: readonly number[],
    command: string,
    parameters: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): Tool {
    const [program, ...rest] = this.cores.pinned(cores, [command, ...parameters])
    const child = spawn(program ?? command, rest, {
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#children.add(child)
    let output = ''
    const add = (chunk: Buffer): void => {
      output += chunk.toString()
      // A broker writes a line for each login.
      if (output.length > mostOutput) output = output.slice(-mostOutput / 2)
    }
    child.stdout.on('data', add)
    child.stderr.on('data', add)
    const exited = new Promise<number | null>((resolve) => {
      child.once('error', (error) => {
        output += error.message
        resolve(1)
      })
      child.once('close', resolve)
    }).then((code) => {
      this.#children.delete(child)
      return code
    })
    const isOver = (): boolean => !this.#children.has(child)
    return {
      pid: child.pid ?? 0,
      output: () => output,
      exited,
      async wrote(pattern, timeoutMs = 20_000) {
        const end = performance.now() + timeoutMs
        for (;;) {
          const hadEnded = isOver()
          const match = pattern.exec(output)
          if (match !== null) return match
          if (hadEnded || performance.now() > end) {
            const why = hadEnded ? 'ended' : `took longer than ${timeoutMs} ms`
            throw new Error(`${command} ${why} before it wrote ${pattern}; it wrote:\n${output.slice(-2000)}`)
          }
          await pause(2)
        }
      },
      async stop(signal = 'SIGKILL') {
        child.kill(signal)
        const deadline = setTimeout(() => child.kill('SIGKILL'), 30_000)
        await exited
        clearTimeout(deadline)
      },
    }
  }

  /** Ends what still runs; by SIGTERM a broker writes its profile first. */
  async close(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const running = [...this.#children]
    const ended = running.map((child) => new Promise((resolve) => child.once('close', resolve)))
    for (const child of running) child.kill(signal)
    await Promise.all(ended)
    this.#endNow()
    process.off('exit', this.#onExit)
  }

  #endNow(): void {
    for (const child of this.#children) child.kill('SIGKILL')
    rmSync(this.directory, { recursive: true, force: true })
  }
}
