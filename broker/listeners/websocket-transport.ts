import type { WebSocket } from 'ws'
import { lingerMs, type Transport, type TransportReceiver } from './transport.ts'

const unsupportedData = 1003

/** MQTT over WebSocket (MQTT 5 §6): binary frames; where a packet begins and ends does not follow the frames. */
export class WebSocketTransport implements Transport {
  readonly remoteAddress: string
  readonly listener: string
  readonly origin?: string
  readonly #socket: WebSocket

  constructor(socket: WebSocket, listener: string, remoteAddress: string, origin: string | undefined) {
    this.#socket = socket
    this.listener = listener
    this.remoteAddress = remoteAddress
    if (origin !== undefined) this.origin = origin
    socket.binaryType = 'nodebuffer'
    socket.on('error', () => {})
  }

  start(receiver: TransportReceiver): void {
    this.#socket.on('message', (bytes: Buffer, isBinary: boolean) => {
      // [MQTT-6.0.0-1]
      if (isBinary) receiver.data(bytes)
      else this.#socket.close(unsupportedData, 'MQTT needs binary frames')
    })
    this.#socket.once('close', () => receiver.disconnected())
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
    setTimeout(() => this.#socket.terminate(), lingerMs).unref()
  }

  release(): void {
    this.end()
  }

  destroy(): void {
    this.#socket.terminate()
  }
}
