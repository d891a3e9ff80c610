import type { Transport } from '../listeners/transport.ts'
import type { AcknowledgementName } from '../wire/acknowledgements.ts'
import type { EncodedPublish } from '../wire/publish.ts'
import { WriteBatch } from './write-batch.ts'

/** Where pieces become one write, again and again, as long as transports take at once what they are given. */
let workspace = Buffer.allocUnsafeSlow(131_072)
/** Below, a buffer of its own costs less than a workspace that a slow client keeps. */
const leastForWorkspace = 16_384

/** Those that have something to write at the end of this turn of the event loop. */
const waiting: Writer[] = []

function flushAll(): void {
  // A flush may end a connection, which writes to others.
  for (let index = 0; index < waiting.length; index += 1) waiting[index]?.flush()
  waiting.length = 0
}

/** Most connections have nothing to write most of the time. */
const unused: WriteBatch[] = []
const mostUnused = 1_000

/** Gathers what one turn of the event loop has for a client into one write. */
export class Writer {
  readonly #transport: Transport
  #batch: WriteBatch | undefined
  /** Of the transport, when this turn's first bytes came: it does not grow until they are written. */
  #pendingBefore = 0
  /** It keeps what it is given until later, as TLS does: then a workspace would be lost with each write. */
  #isKeeping = false
  #isClosed = false
  #hasMessages = false
  readonly #mayDeliver: () => boolean

  /** `mayDeliver` is asked once for what a turn of the event loop has; what may not be delivered is dropped. */
  constructor(transport: Transport, mayDeliver: () => boolean = always) {
    this.#transport = transport
    this.#mayDeliver = mayDeliver
  }

  write(bytes: Buffer): void {
    if (!this.#isClosed) this.#open().add(bytes, 0, bytes.length)
  }

  /** With a packet id of its own above QoS 0, marked as sent before when it was [MQTT-3.3.1-1]. */
  publish(encoded: EncodedPublish, messageId: number, isDuplicate: boolean): void {
    if (this.#isClosed) return
    this.#hasMessages = true
    this.#open().publish(encoded, messageId, isDuplicate)
  }

  acknowledge(name: AcknowledgementName, messageId: number): void {
    if (!this.#isClosed) this.#open().acknowledge(name, messageId)
  }

  /** Bytes that the client has not taken yet. */
  get pending(): number {
    return this.#batch === undefined ? this.#transport.pending : this.#batch.bytes + this.#pendingBefore
  }

  flush(): void {
    const batch = this.#batch
    if (batch === undefined) return
    const isDropped = this.#hasMessages && !this.#mayDeliver()
    const bytes = isDropped ? undefined : (batch.asOnePiece() ?? gather(batch, !this.#isKeeping))
    batch.clear()
    if (unused.length < mostUnused) unused.push(batch)
    // Emptied before writing: a write may end the connection, which flushes again.
    this.#batch = undefined
    this.#hasMessages = false
    if (bytes === undefined) return
    this.#transport.write(bytes)
    // What was not taken at once is still needed.
    this.#isKeeping = this.#transport.pending > 0
    if (this.#isKeeping && bytes.buffer === workspace.buffer) {
      workspace = Buffer.allocUnsafeSlow(workspace.length)
    }
  }

  /** Writes out what is there; later writes are dropped. */
  close(): void {
    this.flush()
    this.#isClosed = true
  }

  #open(): WriteBatch {
    if (this.#batch !== undefined) return this.#batch
    this.#pendingBefore = this.#transport.pending
    this.#batch = unused.pop() ?? new WriteBatch()
    waiting.push(this)
    if (waiting.length === 1) setImmediate(flushAll)
    return this.#batch
  }
}

const always = (): boolean => true

function gather(batch: WriteBatch, mayShare: boolean): Buffer {
  const { bytes } = batch
  const fits = mayShare && bytes >= leastForWorkspace && bytes <= workspace.length
  const target = fits ? workspace.subarray(0, bytes) : Buffer.allocUnsafe(bytes)
  batch.writeTo(target)
  return target
}
