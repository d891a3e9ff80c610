import { createServer, type Server, type Socket } from 'node:net'
import type { AddressRanges } from '#core/network/address-ranges.ts'
import { listenOn } from '#core/process/probe-server.ts'
import { Arrival, type ArrivalOptions } from './arrival.ts'
import { readProxyHeader } from './proxy-header.ts'

export interface EntranceOptions extends ArrivalOptions {
  /** Who has to say, and may, whom a connection is from. */
  readonly proxies?: AddressRanges
  /** Other processes listen on the same port. */
  readonly reusePort?: boolean
}

/** Where TCP connections come in, whatever is spoken over them. */
export class Entrance {
  readonly #server: Server
  readonly #options: EntranceOptions

  /** `pass` is given each that may go on to its protocol. */
  constructor(options: EntranceOptions, pass: (arrival: Arrival) => void) {
    this.#options = options
    this.#server = createServer((socket) => {
      const arrival = new Arrival(socket, options)
      if (arrival.isOver) return
      if (options.proxies?.has(arrival.address) === true) readHeader(arrival, pass)
      else pass(arrival)
    })
  }

  /** Rejects with `port-in-use`. */
  listen(port: number, host: string): Promise<number> {
    return listenOn(this.#server, port, host, { reusePort: this.#options.reusePort === true })
  }

  /** Takes no new connection; those there stay. */
  close(): void {
    // Its callback waits for the connections that are still open: they have their own end.
    this.#server.close(() => {})
  }
}

function readHeader(arrival: Arrival, pass: (arrival: Arrival) => void): void {
  const { socket } = arrival
  arrival.wait()
  let read = Buffer.alloc(0)
  const look = (): void => {
    for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) {
      read = Buffer.concat([read, chunk as Buffer])
    }
    const header = readProxyHeader(read)
    if (header === 'more') return
    socket.off('readable', look)
    socket.off('end', ended)
    if (header === 'malformed') return arrival.drop('proxy-header')
    arrival.headerBytes = header.length
    if (header.address !== undefined && !arrival.speaksFor(header.address)) return
    if (read.length > header.length) socket.unshift(read.subarray(header.length))
    pass(arrival)
  }
  const ended = (): void => arrival.drop('proxy-header')
  socket.on('readable', look)
  socket.once('end', ended)
}

/** Connections that TLS or HTTP are busy with, by the socket below, which these do not show. */
export class Underway {
  readonly #arrivals = new Map<string, Arrival>()

  add(arrival: Arrival): void {
    const { socket } = arrival
    const key = keyOf(socket)
    this.#arrivals.set(key, arrival)
    socket.once('close', () => {
      if (this.#arrivals.get(key) === arrival) this.#arrivals.delete(key)
    })
  }

  /** The one below; undefined when it is over. */
  take(socket: Socket): Arrival | undefined {
    const key = keyOf(socket)
    const arrival = this.#arrivals.get(key)
    this.#arrivals.delete(key)
    return arrival?.isOver === false ? arrival : undefined
  }
}

/** One port of a peer may be connected to several addresses of this machine at a time. */
const keyOf = ({ remoteAddress, remotePort, localAddress }: Socket): string =>
  `${remoteAddress} ${remotePort} ${localAddress}`
