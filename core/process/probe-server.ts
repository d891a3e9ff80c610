import { createServer } from 'node:http'
import type { AddressInfo, ListenOptions, Server as NetServer } from 'node:net'
import type { Registry } from 'prom-client'
import { DomainError } from '#core/errors.ts'

/**
 * What Kubernetes and Prometheus ask a program, on a port of its own:
 *
 * - `/healthz`  200 while the process can do its work; a missing Redis or API server is no reason to restart it
 * - `/readyz`   200 when every check holds, otherwise 503 with the reasons
 * - `/metrics`  Prometheus text
 */
export interface ProbeServer {
  readonly port: number
  close(): Promise<void>
}

/** Why the program is not ready, in a few words; undefined when this part is. */
export type ReadinessCheck = () => string | undefined

export interface ProbeChecks {
  readonly registry: Registry
  readonly readiness: Readonly<Record<string, ReadinessCheck>>
  /** As readiness, for `/healthz`. */
  readonly liveness?: Readonly<Record<string, ReadinessCheck>>
}

export interface ProbeAnswer {
  readonly status: number
  readonly type: string
  readonly body: string
}

export interface ProbeOptions extends ProbeChecks, ProbeAddress {}

export interface ProbeAddress {
  readonly host: string
  readonly port: number
}

/** The answer to a path. Never rejects. */
export type Answering = (path: string) => Promise<ProbeAnswer>

export function startProbeServer(options: ProbeOptions): Promise<ProbeServer> {
  return serveProbes(options, probeAnswers(options))
}

export function probeAnswers(options: ProbeChecks): Answering {
  const routes: Readonly<Record<string, () => ProbeAnswer | Promise<ProbeAnswer>>> = {
    '/healthz': () => verdictOf(options.liveness ?? {}),
    '/readyz': () => verdictOf(options.readiness),
    '/metrics': async () => ({
      status: 200,
      type: options.registry.contentType,
      body: await options.registry.metrics(),
    }),
  }
  return (path) => answerOf(Object.hasOwn(routes, path) ? routes[path] : undefined)
}

/** Rejects with `port-in-use`. */
export async function serveProbes(address: ProbeAddress, answer: Answering): Promise<ProbeServer> {
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0] ?? ''
    void answer(path).then(({ status, type, body }) =>
      response.writeHead(status, { 'content-type': type }).end(body),
    )
  })
  const port = await listenOn(server, address.port, address.host)
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** Resolves with the port; rejects with `port-in-use`. */
export function listenOn(
  server: NetServer,
  port: number,
  host: string,
  options: Pick<ListenOptions, 'reusePort'> = {},
): Promise<number> {
  return new Promise((resolve, reject) => {
    const fail = (cause: NodeJS.ErrnoException): void => reject(listenError(cause, port, host))
    server.once('error', fail)
    server.listen({ port, host, ...options }, () => {
      server.off('error', fail)
      resolve((server.address() as AddressInfo).port)
    })
  })
}

/** Why a port could not be opened, with what to do. */
export function listenError(cause: NodeJS.ErrnoException, port: number, host: string): DomainError {
  const reason =
    cause.code === 'EADDRINUSE' ? 'is taken by another program' : `can not be opened (${cause.code})`
  return new DomainError('port-in-use', `port ${port} of ${host} ${reason}`, { cause })
}

async function answerOf(route: (() => ProbeAnswer | Promise<ProbeAnswer>) | undefined): Promise<ProbeAnswer> {
  if (route === undefined) return textAnswer(404, 'ask /healthz, /readyz or /metrics')
  try {
    return await route()
  } catch {
    return textAnswer(500, 'the answer could not be made')
  }
}

function verdictOf(checks: Readonly<Record<string, ReadinessCheck>>): ProbeAnswer {
  const reasons = Object.entries(checks)
    .map(([part, check]) => [part, check()] as const)
    .filter(([, reason]) => reason !== undefined)
    .map(([part, reason]) => `${part}: ${reason}`)
  return reasons.length === 0 ? textAnswer(200, 'ok') : textAnswer(503, reasons.join('\n'))
}

export function textAnswer(status: number, body: string): ProbeAnswer {
  return { status, type: 'text/plain; charset=utf-8', body: `${body}\n` }
}
