import { constants } from 'node:crypto'
import { createServer as createHttpServer, type IncomingMessage, type ServerOptions } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { createServer as createTcpServer, type Socket } from 'node:net'
import { createServer as createTlsServer, type Server as TlsServer, type TlsOptions } from 'node:tls'
import { WebSocketServer } from 'ws'
import { listenOn } from '#core/process/probe-server.ts'
import type { Certificate } from './certificate-files.ts'
import { SocketTransport } from './socket-transport.ts'
import type { Transport } from './transport.ts'
import { WebSocketTransport } from './websocket-transport.ts'

export interface Address {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
}

export interface TlsAddress extends Address, Certificate {}

/** Which doors are open. The plain ones only when asked for. */
export interface ListenerAddresses {
  readonly mqtts?: TlsAddress
  readonly wss?: TlsAddress
  readonly mqtt?: Address
  readonly ws?: Address
}

export type ListenerName = keyof ListenerAddresses

export interface Listener {
  readonly port: number
  /** Takes no new connection; those there stay. */
  close(): Promise<void>
  /** For connections to come; only of those that have one. */
  useCertificate?(certificate: Certificate): void
}

export interface ListenerOptions {
  readonly accept: (transport: Transport) => void
  /** Of one WebSocket frame. */
  readonly maxFrameBytes: number
  /** How long a TLS handshake, and then an HTTP one, may take. */
  readonly handshakeTimeoutMs: number
}

type Open = (address: never, options: ListenerOptions) => Promise<Listener>

/** A new listener is one line here. Each promise rejects with `port-in-use`. */
const kinds: Readonly<Record<ListenerName, Open>> = {
  mqtts: (address: TlsAddress, options) => openTls(address, options),
  wss: (address: TlsAddress, options) =>
    openWebSocket(
      'wss',
      createHttpsServer({ ...tlsOptions(address, options), ...httpTimeouts(options) }),
      address,
      options,
    ),
  mqtt: (address: Address, options) => openTcp(address, options),
  ws: (address: Address, options) =>
    openWebSocket('ws', createHttpServer(httpTimeouts(options)), address, options),
}

/** Opens all, or none: what was open already is closed again when one fails. */
export async function openListeners(
  addresses: ListenerAddresses,
  options: ListenerOptions,
): Promise<ReadonlyMap<ListenerName, Listener>> {
  const open = new Map<ListenerName, Listener>()
  try {
    for (const [name, address] of Object.entries(addresses) as [ListenerName, Address | undefined][]) {
      if (address !== undefined) open.set(name, await kinds[name](address as never, options))
    }
    return open
  } catch (error) {
    await Promise.all([...open.values()].map((listener) => listener.close()))
    throw error
  }
}

function tlsOptions({ cert, key }: Certificate, { handshakeTimeoutMs }: ListenerOptions): TlsOptions {
  return {
    cert,
    key,
    minVersion: 'TLSv1.2',
    // One client could keep a core busy with handshakes over one connection.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    handshakeTimeout: handshakeTimeoutMs,
  }
}

/** A client that does not say what it wants, or says it byte by byte, does not keep its socket. */
function httpTimeouts({ handshakeTimeoutMs }: ListenerOptions): ServerOptions {
  return {
    headersTimeout: handshakeTimeoutMs,
    requestTimeout: handshakeTimeoutMs,
    connectionsCheckingInterval: Math.min(1_000, handshakeTimeoutMs),
  }
}

async function openTcp(address: Address, { accept }: ListenerOptions): Promise<Listener> {
  const server = createTcpServer((socket) => accept(new SocketTransport(socket, 'mqtt')))
  return closable(server, await listenOn(server, address.port, address.host))
}

async function openTls(address: TlsAddress, options: ListenerOptions): Promise<Listener> {
  const server = createTlsServer(tlsOptions(address, options), (socket) =>
    options.accept(new SocketTransport(socket, 'mqtts')),
  )
  // A failed handshake is the peer's affair.
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  return renewable(server, options, await listenOn(server, address.port, address.host))
}

async function openWebSocket(
  name: 'ws' | 'wss',
  server: ReturnType<typeof createHttpServer> | ReturnType<typeof createHttpsServer>,
  address: Address,
  options: ListenerOptions,
): Promise<Listener> {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: options.maxFrameBytes,
    perMessageDeflate: false,
    handleProtocols: () => 'mqtt',
  })
  server.on('request', (_request, response) =>
    response.writeHead(426, { 'content-type': 'text/plain' }).end('This is MQTT over WebSocket.\n'),
  )
  server.on('tlsClientError', (_error, socket: Socket) => socket.destroy())
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on('error', () => {})
    const refusal = refusalOf(request)
    if (refusal !== undefined) {
      socket.end(`HTTP/1.1 ${refusal}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
      return
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) =>
      options.accept(
        new WebSocketTransport(webSocket, name, socket.remoteAddress ?? 'unknown', request.headers.origin),
      ),
    )
  })
  const port = await listenOn(server, address.port, address.host)
  return 'setSecureContext' in server ? renewable(server, options, port) : closable(server, port)
}

/** Path `/`, and the subprotocol that [MQTT-6.0.0-3] asks for. */
function refusalOf(request: IncomingMessage): string | undefined {
  if ((request.url ?? '').split('?')[0] !== '/') return '404 Not Found'
  const offered = String(request.headers['sec-websocket-protocol'] ?? '').split(',')
  return offered.some((protocol) => protocol.trim() === 'mqtt') ? undefined : '400 Bad Request'
}

function renewable(server: TlsServer, options: ListenerOptions, port: number): Listener {
  return {
    ...closable(server, port),
    useCertificate: (certificate) => server.setSecureContext(tlsOptions(certificate, options)),
  }
}

function closable(server: { close(done: () => void): unknown }, port: number): Listener {
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        // Its callback waits for the connections that are still open: they have their own end.
        server.close(() => {})
        resolve()
      }),
  }
}
