import { writeSync } from 'node:fs'

/** Takes bytes and tells how many; throws `EAGAIN` where it takes none right now. */
export type WriteSome = (bytes: Buffer) => number

const standardOutput: WriteSome = (bytes) => writeSync(1, bytes)

/** PIPE_BUF: a pipe takes that much whole or not at all, so that no other line comes in between. */
const largestChunk = 4_096
/** A write costs as much as a dozen lines: those of a moment share it. */
const gatherMs = 20
const mostWaiting = 4 * 1024 * 1024
const retryMs = 10
const mostLastTries = 100

/**
 * Lines on standard output. What is said within a moment is written together; a reader that is slow holds up nobody, but
 * beyond so many bytes that wait for it, lines are lost.
 */
export class LineOutput {
  lost = 0
  readonly #write: WriteSome
  #lines: string[] = []
  #length = 0
  #chunks: Buffer[] = []
  #waiting = 0
  #isDue = false

  constructor(write: WriteSome = standardOutput) {
    this.#write = write
    process.once('exit', () => this.#end())
  }

  add(line: string): void {
    if (this.#waiting > mostWaiting) {
      this.lost += 1
      return
    }
    if (this.#length + line.length > largestChunk) this.#cut()
    this.#lines.push(line)
    this.#length += line.length
    this.#waiting += line.length
    if (this.#isDue) return
    this.#isDue = true
    setTimeout(() => this.#flush(), gatherMs).unref()
  }

  #cut(): void {
    if (this.#length === 0) return
    this.#chunks.push(Buffer.from(this.#lines.join('')))
    this.#lines = []
    this.#length = 0
  }

  #flush(): void {
    this.#isDue = this.#send()
    if (this.#isDue) setTimeout(() => this.#flush(), retryMs)
  }

  /** Whether something is left. */
  #send(): boolean {
    this.#cut()
    let [chunk] = this.#chunks
    while (chunk !== undefined) {
      const taken = this.#take(chunk)
      if (taken < chunk.length) {
        this.#chunks[0] = chunk.subarray(taken)
        return true
      }
      this.#chunks.shift()
      chunk = this.#chunks[0]
    }
    this.#waiting = 0
    return false
  }

  #take(chunk: Buffer): number {
    try {
      return this.#write(chunk)
    } catch (error) {
      // Nobody reads any more: there is no one to tell.
      return (error as NodeJS.ErrnoException).code === 'EAGAIN' ? 0 : chunk.length
    }
  }

  #end(): void {
    const sleeper = new Int32Array(new SharedArrayBuffer(4))
    for (let tries = 0; this.#send() && tries < mostLastTries; tries += 1)
      Atomics.wait(sleeper, 0, 0, retryMs)
  }
}
