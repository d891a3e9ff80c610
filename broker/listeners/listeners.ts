import { createServer as createHttpServer, type IncomingMessage } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { createServer as createTcpServer, type Socket } from 'node:net'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import { WebSocketServer } from 'ws'
import { listenOn } from '#core/process/probe-server.ts'
import { SocketTransport } from './socket-transport.ts'
import type { Transport } from './transport.ts'
import { WebSocketTransport } from './websocket-transport.ts'

export interface Address {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
}

export interface TlsAddress extends Address {
  /** PEM. */
  readonly cert: string
  readonly key: string
}

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
}

export interface ListenerOptions {
  readonly accept: (transport: Transport) => void
  /** Of one WebSocket frame. */
  readonly maxFrameBytes: number
}

type Open = (address: never, options: ListenerOptions) => Promise<Listener>

/** A new listener is one line here. Each promise rejects with `port-in-use`. */
const kinds: Readonly<Record<ListenerName, Open>> = {
  mqtts: (address: TlsAddress, options) => openTls(address, options),
  wss: (address: TlsAddress, options) =>
    openWebSocket('wss', createHttpsServer(tlsOptions(address)), address, options),
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

function tlsOptions({ cert, key }: TlsAddress): TlsOptions {
  return { cert, key, minVersion: 'TLSv1.2', handshakeTimeout: 10_000 }
}

async function openTcp(address: Address, { accept }: ListenerOptions): Promise<Listener> {
  const server = createTcpServer((socket) => accept(new SocketTransport(socket, 'mqtt')))
  return closable(server, await listenOn(server, address.port, address.host))
}

async function openTls(address: TlsAddress, { accept }: ListenerOptions): Promise<Listener> {
  const server = createTlsServer(tlsOptions(address), (socket) =>
    accept(new SocketTransport(socket, 'mqtts')),
  )
  // A failed handshake is the peer's affair.
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  return closable(server, await listenOn(server, address.port, address.host))
}

async function openWebSocket(
  name: 'ws' | 'wss',
  server: ReturnType<typeof createHttpServer> | ReturnType<typeof createHttpsServer>,
  address: Address,
  { accept, maxFrameBytes }: ListenerOptions,
): Promise<Listener> {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: maxFrameBytes,
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
      accept(new WebSocketTransport(webSocket, name, socket.remoteAddress ?? 'unknown')),
    )
  })
  return closable(server, await listenOn(server, address.port, address.host))
}

/** Path `/`, and the subprotocol that [MQTT-6.0.0-3] asks for. */
function refusalOf(request: IncomingMessage): string | undefined {
  if ((request.url ?? '').split('?')[0] !== '/') return '404 Not Found'
  const offered = String(request.headers['sec-websocket-protocol'] ?? '').split(',')
  return offered.some((protocol) => protocol.trim() === 'mqtt') ? undefined : '400 Bad Request'
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
