import type { Socket } from 'node:net'

/** Counts, by address, those that have not signed in. */
export interface NewcomerCount {
  /** False when there are too many; else to be followed by one `leave`. */
  enter(address: string): boolean
  leave(address: string): void
}

export const droppedEarly = ['proxy-header', 'handshake-timeout', 'handshake-failed'] as const
export type DroppedEarly = (typeof droppedEarly)[number]

/** Why a connection got no further than its listener: a fault of its own, or too many of its address. */
export type Dropped = DroppedEarly | 'too-many'

export interface ArrivalOptions {
  readonly newcomers: NewcomerCount
  readonly dropped: (why: Dropped) => void
  /** For all that comes before MQTT: the header of a proxy, and the handshakes of TLS and WebSocket. */
  readonly handshakeTimeoutMs: number
}

/** A TCP connection on its way to its protocol: counted, and bounded in time, until somebody takes it. */
export class Arrival {
  readonly socket: Socket
  /** Of a proxy, before what the peer itself says. */
  headerBytes = 0
  #address: string
  readonly #options: ArrivalOptions
  #isCounted: boolean
  #timer: NodeJS.Timeout | undefined

  constructor(socket: Socket, options: ArrivalOptions) {
    this.socket = socket
    this.#options = options
    this.#address = socket.remoteAddress ?? 'unknown'
    this.#isCounted = options.newcomers.enter(this.#address)
    // Every error is followed by 'close'; unheard it would end the process.
    socket.on('error', () => {})
    if (!this.#isCounted) this.drop('too-many')
  }

  get address(): string {
    return this.#address
  }

  /** Nobody may take it any more. */
  get isOver(): boolean {
    return !this.#isCounted
  }

  /** It is not taken in this turn of the event loop. */
  wait(): void {
    if (this.isOver || this.#timer !== undefined) return
    this.#timer = setTimeout(() => this.drop('handshake-timeout'), this.#options.handshakeTimeoutMs)
    this.socket.once('close', () => this.#leave())
  }

  /** It speaks for somebody else. False when there are too many of that address. */
  speaksFor(address: string): boolean {
    if (this.isOver) return false
    this.#options.newcomers.leave(this.#address)
    this.#address = address
    this.#isCounted = this.#options.newcomers.enter(address)
    if (!this.#isCounted) this.drop('too-many')
    return this.#isCounted
  }

  /** Counted only where the peer has said something: health checks of load balancers come and go. */
  drop(why: Dropped): void {
    const isFault = why === 'handshake-timeout' || this.socket.bytesRead > this.headerBytes
    if (isFault || why === 'too-many') this.#options.dropped(why)
    this.#leave()
    this.socket.destroy()
  }

  /** It has come through: whoever takes it sees to `leave`. */
  take(): string {
    clearTimeout(this.#timer)
    this.#isCounted = false
    return this.#address
  }

  #leave(): void {
    clearTimeout(this.#timer)
    if (this.#isCounted) this.#options.newcomers.leave(this.#address)
    this.#isCounted = false
  }
}
