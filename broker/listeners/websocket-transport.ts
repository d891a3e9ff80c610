import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Transport, TransportReceiver } from './transport.ts'

const unsupportedData = 1003
/** A socket hands on no more at a time. */
const mostAtOnce = 65_536

export interface WebSocketOrigin {
  readonly listener: string
  readonly remoteAddress: string
  readonly origin: string | undefined
  /** What the WebSocket is read from. */
  readonly below: Socket
  /** Of one frame, before the peer has signed in: frames are gathered until they are whole. */
  readonly maxEarlyBytes: number
}

/** MQTT over WebSocket (MQTT 5 §6): binary frames; where a packet begins and ends does not follow the frames. */
export class WebSocketTransport implements Transport {
  readonly remoteAddress: string
  readonly listener: string
  readonly origin?: string
  readonly #socket: WebSocket
  readonly #below: Socket
  /** Since the last message. */
  #gathered = 0
  readonly #count: (chunk: Buffer) => void

  constructor(socket: WebSocket, { listener, remoteAddress, origin, below, maxEarlyBytes }: WebSocketOrigin) {
    this.#socket = socket
    this.#below = below
    this.#count = (chunk) => {
      this.#gathered += chunk.length
      if (this.#gathered > maxEarlyBytes + mostAtOnce) this.destroy()
    }
    below.on('data', this.#count)
    this.listener = listener
    this.remoteAddress = remoteAddress
    if (origin !== undefined) this.origin = origin
    socket.binaryType = 'nodebuffer'
    socket.on('error', () => {})
  }

  start(receiver: TransportReceiver): void {
    this.#socket.on('message', (bytes: Buffer, isBinary: boolean) => {
      this.#gathered = 0
      if (this.#socket.readyState !== this.#socket.OPEN) return
      // [MQTT-6.0.0-1]
      if (isBinary) receiver.data(bytes)
      else this.#socket.close(unsupportedData, 'MQTT needs binary frames')
    })
    this.#socket.once('close', () => receiver.disconnected())
  }

  signedIn(): void {
    this.#below.off('data', this.#count)
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  write(bytes: Buffer): void {
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.send(bytes, { binary: true })
  }

  get pending(): number {
    return this.#socket.bufferedAmount
  }

  end(): void {
    // Paused, it would never read the peer's part of the closing handshake.
    this.#socket.resume()
    this.#socket.close()
  }

  release(): void {
    this.end()
  }

  destroy(): void {
    this.#socket.terminate()
  }
}
