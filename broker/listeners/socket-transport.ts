import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { lingerMs, type Transport, type TransportReceiver } from './transport.ts'

/** A TCP or TLS socket. */
export class SocketTransport implements Transport {
  readonly remoteAddress: string
  readonly listener: string
  readonly certificate?: X509Certificate
  readonly #socket: Socket
  #isEnding = false

  /** `remoteAddress`: of whom it is, which a proxy may have said. */
  constructor(socket: Socket, listener: string, remoteAddress: string, certificate?: X509Certificate) {
    this.#socket = socket
    if (certificate !== undefined) this.certificate = certificate
    this.listener = listener
    this.remoteAddress = remoteAddress
    socket.setNoDelay(true)
    // Every error is followed by 'close'; unheard it would end the process.
    socket.on('error', () => {})
  }

  start(receiver: TransportReceiver): void {
    this.#socket.on('data', (bytes: Buffer) => receiver.data(bytes))
    this.#socket.once('close', () => receiver.disconnected())
    this.#socket.once('end', () => this.end())
    if (this.#socket.destroyed) queueMicrotask(() => this.#socket.emit('close'))
  }

  /** Nothing is gathered here. */
  signedIn(): void {}

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  write(bytes: Buffer): void {
    if (this.#socket.writable) this.#socket.write(bytes)
  }

  get pending(): number {
    return this.#socket.writableLength
  }

  end(): void {
    if (this.#isEnding || this.#socket.destroyed) return
    this.#isEnding = true
    this.#socket.end()
    setTimeout(() => this.#socket.destroy(), lingerMs).unref()
  }

  release(): void {
    // TLS says goodbye as well.
    if (this.#socket instanceof TLSSocket || this.pending > 0) this.end()
    else this.#socket.destroy()
  }

  destroy(): void {
    this.#socket.destroy()
  }
}
