import { createServer as createHttpServer, type IncomingMessage, type Server as HttpServer } from 'node:http'
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https'
import type { Server as NetServer, Socket } from 'node:net'
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from 'node:tls'
import { type ServerOptions, WebSocketServer } from 'ws'
import type { Arrival } from './arrival.ts'
import type { Certificate } from './certificate-files.ts'
import { Entrance, type EntranceOptions, Underway } from './entrance.ts'
import { SocketTransport } from './socket-transport.ts'
import { askForCertificate, tlsOptions } from './tls-options.ts'
import { lingerMs, type Transport } from './transport.ts'
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

export interface ListenerOptions extends EntranceOptions {
  /** Whether clients of MQTT over TLS are asked for a certificate, from now on. Browsers would ask people, and are not. */
  readonly wantsCertificates?: () => boolean
  /** It is counted as a newcomer. */
  readonly accept: (transport: Transport) => void
  /** Of one WebSocket message, in one frame or in many. */
  readonly maxFrameBytes: number
  /** The same, of whoever has not signed in. */
  readonly maxEarlyFrameBytes: number
}

const mostPieces = 16_384

type Open = (address: never, options: ListenerOptions) => Promise<Listener>

/** A new listener is one line here. Each promise rejects with `port-in-use`. */
const kinds: Readonly<Record<ListenerName, Open>> = {
  mqtts: (address: TlsAddress, options) => openTls(address, options),
  wss: (address: TlsAddress, options) =>
    openWebSocket(
      'wss',
      createHttpsServer(tlsOptions(address, options.handshakeTimeoutMs)),
      address,
      options,
    ),
  mqtt: (address: Address, options) => openTcp(address, options),
  ws: (address: Address, options) => openWebSocket('ws', createHttpServer(), address, options),
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

async function openTcp(address: Address, options: ListenerOptions): Promise<Listener> {
  const entrance = new Entrance(options, (arrival) =>
    options.accept(new SocketTransport(arrival.socket, 'mqtt', arrival.take())),
  )
  return listening(entrance, address)
}

async function openTls(address: TlsAddress, options: ListenerOptions): Promise<Listener> {
  const underway = new Underway()
  const accept = (socket: TLSSocket): void => {
    const arrival = underway.take(socket)
    if (arrival === undefined) return void socket.destroy()
    const certificate = socket.getPeerX509Certificate()
    options.accept(new SocketTransport(socket, 'mqtts', arrival.take(), certificate))
  }
  const server = createTlsServer(tlsOptions(address, options.handshakeTimeoutMs), accept)
  const asking = createTlsServer(
    { ...tlsOptions(address, options.handshakeTimeoutMs), ...askForCertificate },
    accept,
  )
  const wants = options.wantsCertificates ?? (() => false)
  return overTls([server, asking], () => (wants() ? asking : server), { underway, address, options })
}

async function openWebSocket(
  name: 'ws' | 'wss',
  server: HttpServer | HttpsServer,
  address: Address,
  options: ListenerOptions,
): Promise<Listener> {
  const underway = new Underway()
  const sockets = new WebSocketServer(webSocketOptions(options))
  server.on('request', (_request, response) =>
    response.writeHead(426, { 'content-type': 'text/plain' }).end('This is MQTT over WebSocket.\n'),
  )
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on('error', () => {})
    const refusal = refusalOf(request)
    if (refusal !== undefined) {
      socket.end(`HTTP/1.1 ${refusal}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
      return
    }
    const arrival = underway.take(socket)
    if (arrival === undefined) return void socket.destroy()
    sockets.handleUpgrade(request, socket, head, (webSocket) =>
      options.accept(
        new WebSocketTransport(webSocket, {
          listener: name,
          remoteAddress: arrival.take(),
          origin: request.headers.origin,
          below: socket,
          maxEarlyBytes: options.maxEarlyFrameBytes,
        }),
      ),
    )
  })
  return 'setSecureContext' in server
    ? overTls([server], () => server, { underway, address, options })
    : listening(new Entrance(options, (arrival) => hand(arrival, server, underway)), address)
}

function webSocketOptions({ maxFrameBytes }: ListenerOptions): ServerOptions & { closeTimeout: number } {
  return {
    noServer: true,
    maxPayload: maxFrameBytes,
    perMessageDeflate: false,
    // What is gathered of a message costs far more than its bytes when it comes in crumbs.
    maxBufferedChunks: mostPieces,
    maxFragments: mostPieces,
    handleProtocols: () => 'mqtt',
    closeTimeout: lingerMs,
  }
}

/** Path `/`, and the subprotocol that [MQTT-6.0.0-3] asks for. */
function refusalOf(request: IncomingMessage): string | undefined {
  if ((request.url ?? '').split('?')[0] !== '/') return '404 Not Found'
  const offered = String(request.headers['sec-websocket-protocol'] ?? '').split(',')
  return offered.some((protocol) => protocol.trim() === 'mqtt') ? undefined : '400 Bad Request'
}

interface TlsParts {
  readonly underway: Underway
  readonly address: Address
  readonly options: ListenerOptions
}

/** `next`: which of the servers a connection is for. */
async function overTls(
  servers: readonly TlsServer[],
  next: () => TlsServer,
  { underway, address, options }: TlsParts,
): Promise<Listener> {
  for (const server of servers) {
    // A failed handshake is the peer's affair.
    server.on('tlsClientError', (_error, socket) => {
      underway.take(socket)?.drop('handshake-failed')
      socket.destroy()
    })
  }
  const entrance = new Entrance(options, (arrival) => hand(arrival, next(), underway))
  return {
    ...(await listening(entrance, address)),
    useCertificate: (certificate) => {
      for (const server of servers)
        server.setSecureContext(tlsOptions(certificate, options.handshakeTimeoutMs))
    },
  }
}

/** To what speaks its protocol; it comes out of `underway` again. */
function hand(arrival: Arrival, server: NetServer, underway: Underway): void {
  arrival.wait()
  underway.add(arrival)
  server.emit('connection', arrival.socket)
}

async function listening(entrance: Entrance, { port, host }: Address): Promise<Listener> {
  return { port: await entrance.listen(port, host), close: async () => entrance.close() }
}
