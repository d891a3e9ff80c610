import type { Transport } from '../listeners/transport.ts'

/** Gathers what one turn of the event loop has for a client into one write. */
export class Writer {
  readonly #transport: Transport
  #chunks: Buffer[] = []
  #bytes = 0
  #closed = false

  constructor(transport: Transport) {
    this.#transport = transport
  }

  write(bytes: Buffer): void {
    if (this.#closed) return
    this.#chunks.push(bytes)
    this.#bytes += bytes.length
    if (this.#chunks.length === 1) setImmediate(() => this.flush())
  }

  /** Bytes that the client has not taken yet. */
  get pending(): number {
    return this.#bytes + this.#transport.pending
  }

  flush(): void {
    const [first] = this.#chunks
    if (first === undefined) return
    const bytes = this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks, this.#bytes)
    // Emptied before writing: a write may end the connection, which flushes again.
    this.#chunks = []
    this.#bytes = 0
    this.#transport.write(bytes)
  }

  /** Writes out what is there; later writes are dropped. */
  close(): void {
    this.flush()
    this.#closed = true
  }
}
