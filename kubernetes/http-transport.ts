/**
 * One HTTP exchange with the API server over node:http(s). Connections are kept and shared by requests with the
 * same TLS material, so a rotated certificate opens new ones by itself; watches have connections of their own
 * and cannot starve requests.
 *
 * `send` resolves with the head of the answer, whatever its status. It rejects with ApiError `unreachable`, or
 * with the signal's reason when `signal` aborted; after that an abort makes the body's reader throw.
 */
import * as http from 'node:http'
import * as https from 'node:https'
import { ApiError } from './api-error.ts'
import type { ClusterAccess } from './cluster-access.ts'

export interface HttpRequest {
  readonly method: string
  /** Path and query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  readonly signal: AbortSignal
  /** A connection that stays open for minutes. */
  readonly longLived: boolean
}

export interface HttpTransport {
  send(request: HttpRequest): Promise<http.IncomingMessage>
  /** Closes idle connections. */
  close(): void
}

// Bounds what one operator asks at once; more wait for a connection.
const maxRequestConnections = 50

export function createHttpTransport(access: ClusterAccess): HttpTransport {
  const { Agent, request: open } = access.server.startsWith('http://') ? http : https
  const requests = new Agent({ keepAlive: true, maxSockets: maxRequestConnections })
  const watches = new Agent({ keepAlive: true, maxFreeSockets: 0 })

  async function send(request: HttpRequest): Promise<http.IncomingMessage> {
    const { headers, ...connection } = await access.connection()
    const body = request.body === undefined ? undefined : Buffer.from(request.body)
    const outgoing = open(`${access.server}${request.path}`, {
      agent: request.longLived ? watches : requests,
      ...connection,
      method: request.method,
      signal: request.signal,
      headers: {
        ...(headers as http.OutgoingHttpHeaders | undefined),
        ...request.headers,
        ...(body === undefined ? {} : { 'content-length': body.length }),
      },
    })
    outgoing.end(body)
    return await answerOf(outgoing)
  }

  return {
    async send(request) {
      try {
        return await sendAgainIfStale(send, request)
      } catch (error) {
        if (request.signal.aborted) throw request.signal.reason
        throw new ApiError('unreachable', `${request.method} ${pathOf(request)}: ${causeOf(error)}`)
      }
    },
    close() {
      requests.destroy()
      watches.destroy()
    },
  }
}

class StaleConnection extends Error {}

function answerOf(outgoing: http.ClientRequest): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    outgoing.once('response', resolve)
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      const stale = outgoing.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
      reject(stale ? new StaleConnection(error.code) : error)
    })
  })
}

type Send = HttpTransport['send']

/** A kept connection the server closed meanwhile says nothing about the server. Only reads are sent again. */
async function sendAgainIfStale(send: Send, request: HttpRequest): ReturnType<Send> {
  try {
    return await send(request)
  } catch (error) {
    if (!(error instanceof StaleConnection) || request.method !== 'GET') throw error
    return await send(request)
  }
}

function pathOf(request: HttpRequest): string {
  return request.path.split('?')[0] ?? ''
}

function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'failed'
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}
