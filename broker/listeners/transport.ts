import type { X509Certificate } from 'node:crypto'

/**
 * Bytes in, bytes out: what a connection needs of TCP, TLS or WebSocket. No method throws, and none does
 * anything once the transport is closed.
 */
export interface Transport {
  /** Of the peer, for logs and limits. */
  readonly remoteAddress: string
  /** Name of the listener, such as `mqtts`. */
  readonly listener: string
  /** What the peer has shown at the TLS handshake, and has the key of; nobody has looked at it yet. */
  readonly certificate?: X509Certificate
  /** Origin header of a WebSocket handshake. */
  readonly origin?: string
  /** Begins reading. Called once. */
  start(receiver: TransportReceiver): void
  /** The peer has signed in: what it sends at once may be larger from now on. */
  signedIn(): void
  /** Stops reading until `resume`; what was read already may still come. */
  pause(): void
  resume(): void
  write(bytes: Buffer): void
  /** Bytes that were written and that the peer has not taken yet. */
  readonly pending: number
  /** Closes once everything written is sent, or after a second. */
  end(): void
  /** As `end`, of a peer that has said goodbye and reads no more: as soon as the protocol below allows. */
  release(): void
  /** Closes now. */
  destroy(): void
}

export interface TransportReceiver {
  data(bytes: Buffer): void
  /** Exactly once, whoever closed and for whatever reason. */
  disconnected(): void
}

/** How long `end` waits for a peer that does not take its last bytes. */
export const lingerMs = 1_000
