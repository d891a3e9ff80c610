import type { Transport } from '../listeners/transport.ts'
import type { IncomingPacket } from '../wire/packets.ts'

/** A handler's promise, for a packet that has to wait for a store. */
export type Handle = (packet: IncomingPacket) => Promise<void> | void

/**
 * Handles packets strictly one after the other. When a handler waits, packets queue; when too many do, the
 * transport is told to stop reading until they are handled.
 */
export class PacketQueue {
  readonly #handle: Handle
  readonly #transport: Transport
  readonly #most: number
  #packets: IncomingPacket[] = []
  #isHandling = false
  #isPaused = false

  constructor(transport: Transport, most: number, handle: Handle) {
    this.#transport = transport
    this.#most = most
    this.#handle = handle
  }

  push(packet: IncomingPacket): void {
    if (!this.#isHandling) return this.#begin(packet)
    this.#packets.push(packet)
    if (this.#packets.length < this.#most || this.#isPaused) return
    this.#isPaused = true
    this.#transport.pause()
  }

  /** Drops what is not handled yet. */
  clear(): void {
    this.#packets = []
  }

  #begin(packet: IncomingPacket): void {
    this.#isHandling = true
    const waiting = this.#handle(packet)
    if (waiting === undefined) this.#goOn()
    else void waiting.then(() => this.#goOn())
  }

  /** Handles what is there, at once as long as no handler waits. */
  #goOn(): void {
    for (let packet = this.#packets.shift(); packet !== undefined; packet = this.#packets.shift()) {
      const waiting = this.#handle(packet)
      if (waiting !== undefined) return void waiting.then(() => this.#goOn())
    }
    this.#isHandling = false
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#transport.resume()
  }
}
