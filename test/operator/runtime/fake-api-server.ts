/**
 * A small Kubernetes API server on a loopback port: lists in pages, watches with bookmarks and history, create,
 * replace, apply, patch and delete with resourceVersion checks. It knows no schema and no rights.
 *
 * Faults: `answerNext` replaces answers of matching requests; the watch controls end, cut, or corrupt open
 * streams; `freeze` keeps connections open without ever answering.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { KubernetesObject, ObjectMeta } from '../../../operator/runtime/objects.ts'

export type Manifest = KubernetesObject & { spec?: unknown; status?: unknown; data?: unknown }

export interface Recorded {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  readonly body: unknown
  /** Of the client: one for each connection. */
  readonly port: number | undefined
}

export interface Fault {
  /** Default: any. */
  readonly method?: string
  readonly isWatch?: boolean
  /** Default 1. */
  times?: number
  readonly status: number
  readonly reason?: string
  readonly message?: string
  readonly headers?: Record<string, string>
}

interface WatchStream {
  readonly scope: string
  readonly response: ServerResponse
  readonly metadataOnly: boolean
}

interface Change {
  readonly scope: string
  readonly version: number
  readonly type: string
  readonly object: Manifest
}

export class FakeApiServer {
  readonly requests: Recorded[] = []
  /** Pages hold at most this many, whatever the limit; lists at resourceVersion 0 ignore both. */
  pageLimit = 500
  #version = 100
  #uid = 0
  #compactedTo = 0
  #frozen = false
  #dropsNext = false
  #faults: Fault[] = []
  readonly #objects = new Map<string, Manifest>()
  readonly #history: Change[] = []
  readonly #streams = new Set<WatchStream>()
  readonly #sockets = new Set<Socket>()
  readonly #server: Server

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response))
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
  }

  static async start(): Promise<FakeApiServer> {
    const fake = new FakeApiServer()
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve))
    return fake
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get openWatches(): number {
    return this.#streams.size
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  /** What was asked, watches or other requests of one method. */
  asked(method: string, isWatch = false): Recorded[] {
    return this.requests.filter(
      (request) => request.method === method && request.query.has('watch') === isWatch,
    )
  }

  /** Creates or changes an object of a collection path, such as `/api/v1/namespaces/a/secrets`. */
  put(collection: string, object: Omit<Manifest, 'metadata'> & { metadata: Partial<ObjectMeta> }): Manifest {
    const name = object.metadata.name ?? 'unnamed'
    const path = `${collection}/${name}`
    const before = this.#objects.get(path)
    const uid = before?.metadata.uid ?? `uid-${++this.#uid}`
    const namespace = /\/namespaces\/([^/]+)\//.exec(path)?.[1]
    const metadata = { ...object.metadata, name, uid, resourceVersion: String(++this.#version) }
    const stored = { ...object, metadata: namespace === undefined ? metadata : { ...metadata, namespace } }
    this.#objects.set(path, stored)
    this.#publish(before === undefined ? 'ADDED' : 'MODIFIED', path, stored)
    return stored
  }

  remove(path: string): void {
    const before = this.#objects.get(path)
    if (before === undefined) return
    this.#objects.delete(path)
    const metadata = { ...before.metadata, resourceVersion: String(++this.#version) }
    this.#publish('DELETED', path, { ...before, metadata })
  }

  read(path: string): Manifest | undefined {
    return this.#objects.get(path)
  }

  answerNext(fault: Fault): void {
    this.#faults.push(fault)
  }

  /** Closes the connection of the next request without an answer. */
  dropNext(): void {
    this.#dropsNext = true
  }

  /** From now on nothing is answered and no event sent, but every connection stays open. */
  freeze(frozen: boolean): void {
    this.#frozen = frozen
  }

  /** Forgets history: a watch from before gets 410. */
  compact(): void {
    this.#compactedTo = this.#version
    this.#history.length = 0
  }

  bookmark(): void {
    const metadata = { resourceVersion: String(++this.#version) }
    this.sendLine(JSON.stringify({ type: 'BOOKMARK', object: { metadata } }))
  }

  /** A line to every open watch, as it is. */
  sendLine(line: string): void {
    for (const { response } of this.#streams) response.write(`${line}\n`)
  }

  sendError(code: number, reason: string): void {
    this.sendLine(JSON.stringify({ type: 'ERROR', object: statusBody(code, reason, reason) }))
  }

  /** Ends every watch properly after half a line. */
  endWatchesWithinALine(): void {
    this.#closeWatches((response) => response.end('{"type":"ADDED","object":{"meta'))
  }

  endWatches(): void {
    this.#closeWatches((response) => response.end())
  }

  cutWatches(): void {
    this.#closeWatches((response) => response.socket?.destroy())
  }

  #closeWatches(close: (response: ServerResponse) => void): void {
    for (const { response } of this.#streams) close(response)
    this.#streams.clear()
  }

  #publish(type: string, path: string, object: Manifest): void {
    const change = { scope: path.slice(0, path.lastIndexOf('/')), version: this.#version, type, object }
    this.#history.push(change)
    if (this.#frozen) return
    for (const stream of this.#streams) this.#send(stream, change)
  }

  #send(stream: WatchStream, { scope, type, object }: Change): void {
    if (!covers(stream.scope, scope)) return
    stream.response.write(`${JSON.stringify({ type, object: shape(object, stream.metadataOnly) })}\n`)
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://fake')
    const text = (await request.setEncoding('utf8').toArray()).join('')
    const body: unknown = text === '' ? undefined : JSON.parse(text)
    const { method = 'GET', headers } = request
    const recorded = {
      method,
      path: url.pathname,
      query: url.searchParams,
      headers,
      body,
      port: request.socket.remotePort,
    }
    this.requests.push(recorded)
    if (this.#frozen) return
    if (this.#dropsNext) {
      this.#dropsNext = false
      return void request.socket.destroy()
    }
    const fault = this.#takeFault(recorded)
    if (fault !== undefined) return reply(response, fault.status, faultBody(fault), fault.headers)
    if (recorded.query.has('watch')) return this.#watch(recorded, response)
    this.#answer(recorded, response)
  }

  #takeFault({ method, query }: Recorded): Fault | undefined {
    const fault = this.#faults.find(
      (candidate) =>
        (candidate.method ?? method) === method &&
        (candidate.isWatch ?? query.has('watch')) === query.has('watch'),
    )
    if (fault === undefined) return undefined
    fault.times = (fault.times ?? 1) - 1
    if (fault.times === 0) this.#faults = this.#faults.filter((other) => other !== fault)
    return fault
  }

  #watch({ path, query, headers }: Recorded, response: ServerResponse): void {
    const from = Number(query.get('resourceVersion'))
    if (from < this.#compactedTo)
      return reply(response, 410, statusBody(410, 'Expired', 'too old resource version'))
    const stream = { scope: path, response, metadataOnly: isMetadataOnly(headers) }
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    for (const change of this.#history) if (change.version > from) this.#send(stream, change)
    this.#streams.add(stream)
    response.once('close', () => this.#streams.delete(stream))
  }

  #answer(request: Recorded, response: ServerResponse): void {
    const { method, path } = request
    const target = path.replace(/\/status$/, '')
    const object = this.#objects.get(target)
    if (method === 'POST') return this.#create(request, response)
    if (method === 'GET' && isCollection(path)) return this.#list(request, response)
    if (method === 'PATCH' && String(request.headers['content-type']).includes('apply-patch')) {
      return this.#apply(target, request, response)
    }
    if (object === undefined) return reply(response, 404, statusBody(404, 'NotFound', `${path} not found`))
    if (method === 'GET') return reply(response, 200, shape(object, isMetadataOnly(request.headers)))
    if (method === 'DELETE') {
      this.remove(target)
      return reply(response, 200, statusBody(200, '', ''))
    }
    this.#update(target, object, request, response)
  }

  #list({ path, query, headers }: Recorded, response: ServerResponse): void {
    const all = [...this.#objects].filter(([key]) => covers(path, key.slice(0, key.lastIndexOf('/'))))
    const start = Number(query.get('continue') ?? 0)
    const limit =
      query.get('resourceVersion') === '0'
        ? all.length
        : Math.min(this.pageLimit, Number(query.get('limit') ?? all.length))
    const items = all.slice(start, start + limit).map(([, object]) => shape(object, isMetadataOnly(headers)))
    const next = start + limit < all.length ? { continue: String(start + limit) } : {}
    reply(response, 200, {
      kind: 'List',
      metadata: { resourceVersion: String(this.#version), ...next },
      items,
    })
  }

  #create({ path, body }: Recorded, response: ServerResponse): void {
    const manifest = body as Manifest
    if (this.#objects.has(`${path}/${manifest.metadata.name}`)) {
      return reply(response, 409, statusBody(409, 'AlreadyExists', 'it exists'))
    }
    reply(response, 201, this.put(path, manifest))
  }

  #apply(path: string, { body }: Recorded, response: ServerResponse): void {
    const manifest = body as Manifest
    const before = this.#objects.get(path)
    const merged = { ...before, ...manifest, metadata: { ...before?.metadata, ...manifest.metadata } }
    reply(response, 200, this.put(path.slice(0, path.lastIndexOf('/')), merged))
  }

  #update(path: string, before: Manifest, { body }: Recorded, response: ServerResponse): void {
    const patch = Array.isArray(body) ? { metadata: {} as ObjectMeta } : (body as Manifest)
    const expected = patch.metadata?.resourceVersion
    if (expected !== undefined && expected !== before.metadata.resourceVersion) {
      return reply(response, 409, statusBody(409, 'Conflict', 'the object has been modified'))
    }
    const data =
      patch['data'] === undefined ? {} : { data: { ...Object(before['data']), ...Object(patch['data']) } }
    const merged = { ...before, ...patch, ...data, metadata: { ...before.metadata, ...patch.metadata } }
    reply(response, 200, this.put(path.slice(0, path.lastIndexOf('/')), merged))
  }
}

function isCollection(path: string): boolean {
  const parts = path.split('/').slice(path.startsWith('/apis/') ? 4 : 3)
  return (parts[0] === 'namespaces' ? parts.slice(2) : parts).length === 1
}

/** A collection covers itself; one without a namespace covers those of all namespaces. */
function covers(scope: string, collection: string): boolean {
  return scope === collection || scope === collection.replace(/\/namespaces\/[^/]+/, '')
}

function isMetadataOnly(headers: IncomingMessage['headers']): boolean {
  return String(headers.accept).includes('as=PartialObjectMetadata')
}

function shape(object: Manifest, metadataOnly: boolean): Manifest {
  if (!metadataOnly) return object
  return { apiVersion: 'meta.k8s.io/v1', kind: 'PartialObjectMetadata', metadata: object.metadata }
}

function faultBody({ status, reason = '', message = '' }: Fault): object {
  return statusBody(status, reason, message)
}

function statusBody(code: number, reason: string, message: string): object {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    status: code < 400 ? 'Success' : 'Failure',
    code,
    reason,
    message,
  }
}

function reply(
  response: ServerResponse,
  status: number,
  body: object,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify(body))
}
