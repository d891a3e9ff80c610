/**
 * The Kubernetes API over plain HTTP, for any kind. Every method rejects with ApiError, or with the reason of
 * the caller's `signal` once that aborted. Nothing is retried here but a read on a stale kept connection.
 *
 * - `timeoutMs` (default 30 s) covers a whole exchange; for `watch` only the time until the stream opens, after
 *   that the caller's signal is its only limit.
 * - `metadataOnly` asks for PartialObjectMetadata: no spec, data or status crosses the network.
 * - `apply` and `applyStatus` are server-side apply: the object needs apiVersion, kind and name, holds exactly
 *   the fields this manager owns, and no managedFields. `force` is true unless given.
 */
import type { IncomingMessage } from 'node:http'
import { parseJson } from '#core/json.ts'
import { ApiError, errorFromStatus } from '../../kubernetes/api-error.ts'
import type { ClusterAccess } from '../../kubernetes/cluster-access.ts'
import { createHttpTransport, type HttpTransport } from '../../kubernetes/http-transport.ts'
import {
  type ApiRequest,
  type ApplyOptions,
  atVersion,
  call,
  type CallOptions,
  type DeleteOptions,
  isConfidential,
  type JsonPatchOperation,
  type ListOptions,
  type ListPage,
  nameOf,
  namespaceOf,
  pathOf,
  type PatchOptions,
  queryString,
  type ReadOptions,
  selection,
  versionOf,
  type WatchOptions,
  watchQuery,
} from './api-request.ts'
import { resourcePath, type KubernetesObject, type ObjectName, type ResourceType } from './objects.ts'
import { deadline, systemTime, type Deadline, type Time } from './time.ts'
import { readWatch, type WatchContext, type WatchEvent } from './watch-stream.ts'

/** As client-go says it. */
export const noAnswer = '<error>'

/** One exchange, told to metrics: `code` is the HTTP status, or `noAnswer`. */
export interface RequestObservation {
  readonly method: string
  readonly host: string
  readonly code: string
  readonly seconds: number
}

export interface KubernetesApiOptions {
  readonly access: ClusterAccess
  readonly userAgent?: string
  readonly time?: Time
  readonly timeoutMs?: number
  readonly observe?: (observation: RequestObservation) => void
}

const json = 'application/json'
const partialMetadata = `${json};as=PartialObjectMetadata;g=meta.k8s.io;v=v1`
const partialMetadataList = `${json};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1`

export class KubernetesApi {
  readonly #access: ClusterAccess
  readonly #transport: HttpTransport
  readonly #time: Time
  readonly #timeoutMs: number
  readonly #userAgent: string
  readonly #observe: (observation: RequestObservation) => void
  readonly #host: string

  constructor(options: KubernetesApiOptions) {
    this.#access = options.access
    this.#transport = createHttpTransport(options.access)
    this.#time = options.time ?? systemTime
    this.#timeoutMs = options.timeoutMs ?? 30_000
    this.#userAgent = options.userAgent ?? 'kubernetes-runtime'
    this.#observe = options.observe ?? (() => {})
    this.#host = new URL(options.access.server).host
  }

  get<T extends KubernetesObject>(
    type: ResourceType,
    name: ObjectName,
    options: ReadOptions = {},
  ): Promise<T> {
    const accept = options.metadataOnly ? partialMetadata : json
    return this.request<T>({ ...call(options), method: 'GET', path: resourcePath(type, name), accept })
  }

  async list<T extends KubernetesObject>(
    type: ResourceType,
    options: ListOptions = {},
  ): Promise<ListPage<T>> {
    const body = await this.request<ListBody<T>>({
      ...call(options),
      method: 'GET',
      path: resourcePath(type, namespaceOf(options)),
      query: {
        ...selection(options),
        limit: options.limit,
        continue: options.continue,
        ...versionOf(options),
      },
      accept: options.metadataOnly ? partialMetadataList : json,
    })
    const next = body.metadata?.continue
    const page = { items: body.items ?? [], resourceVersion: body.metadata?.resourceVersion ?? '' }
    return next ? { ...page, continue: next } : page
  }

  /** Resolves once the stream is open. Iterate it, or abort `signal`: otherwise its connection stays. */
  async watch<T extends KubernetesObject>(
    type: ResourceType,
    options: WatchOptions,
  ): Promise<AsyncGenerator<WatchEvent<T>, void, void>> {
    const request: ApiRequest = {
      ...call(options),
      method: 'GET',
      path: resourcePath(type, namespaceOf(options)),
      query: { ...selection(options), ...watchQuery(options) },
      accept: options.metadataOnly ? partialMetadata : json,
    }
    const limit = deadline(this.#time, options.timeoutMs ?? this.#timeoutMs, options.signal)
    try {
      const answer = await this.#send(request, limit, true)
      limit.lift()
      return streamOf(readWatch<T>(answer, contextOf(request)), limit)
    } catch (error) {
      limit.dispose()
      throw error
    }
  }

  create<T extends KubernetesObject>(type: ResourceType, object: T, options: CallOptions = {}): Promise<T> {
    const path = resourcePath(type, namespaceOf(object.metadata))
    return this.request<T>({ ...call(options), method: 'POST', path, body: object })
  }

  replace<T extends KubernetesObject>(type: ResourceType, object: T, options: CallOptions = {}): Promise<T> {
    return this.request<T>({ ...call(options), method: 'PUT', path: pathOf(type, object), body: object })
  }

  apply<T extends KubernetesObject>(type: ResourceType, object: T, options: ApplyOptions): Promise<T> {
    return this.#apply(pathOf(type, object), object, options)
  }

  applyStatus<T extends KubernetesObject>(type: ResourceType, object: T, options: ApplyOptions): Promise<T> {
    return this.#apply(pathOf(type, object, 'status'), object, options)
  }

  #apply<T extends KubernetesObject>(path: string, object: T, options: ApplyOptions): Promise<T> {
    return this.request<T>({
      ...call(options),
      method: 'PATCH',
      path,
      query: { fieldManager: options.fieldManager, force: options.force ?? true },
      body: object,
      contentType: 'application/apply-patch+yaml',
    })
  }

  /** RFC 7386: null removes a field, a list replaces the list. */
  mergePatch<T extends KubernetesObject>(
    type: ResourceType,
    name: ObjectName,
    patch: Readonly<Record<string, unknown>>,
    options: PatchOptions = {},
  ): Promise<T> {
    const body = options.resourceVersion === undefined ? patch : atVersion(patch, options.resourceVersion)
    return this.#patch(type, name, body, 'application/merge-patch+json', options)
  }

  /** RFC 6902. */
  jsonPatch<T extends KubernetesObject>(
    type: ResourceType,
    name: ObjectName,
    operations: readonly JsonPatchOperation[],
    options: PatchOptions = {},
  ): Promise<T> {
    const test: JsonPatchOperation[] =
      options.resourceVersion === undefined
        ? []
        : [{ op: 'test', path: '/metadata/resourceVersion', value: options.resourceVersion }]
    return this.#patch(type, name, [...test, ...operations], 'application/json-patch+json', options)
  }

  #patch<T>(
    type: ResourceType,
    name: ObjectName,
    body: unknown,
    contentType: string,
    options: PatchOptions,
  ): Promise<T> {
    const path = resourcePath(type, name, options.subresource)
    const query = { fieldManager: options.fieldManager }
    return this.request<T>({ ...call(options), method: 'PATCH', path, query, body, contentType })
  }

  async delete(type: ResourceType, name: ObjectName, options: DeleteOptions = {}): Promise<void> {
    const { propagationPolicy, preconditions, gracePeriodSeconds } = options
    // Options go in the body alone: with a body the server ignores them in the query.
    const body = {
      kind: 'DeleteOptions',
      apiVersion: 'v1',
      propagationPolicy,
      preconditions,
      gracePeriodSeconds,
    }
    await this.request({ ...call(options), method: 'DELETE', path: resourcePath(type, name), body })
  }

  /** Any path, such as `/version`. The answer must be JSON; its shape is the caller's claim. */
  async request<T>(request: ApiRequest): Promise<T> {
    const limit = deadline(this.#time, request.timeoutMs ?? this.#timeoutMs, request.signal)
    try {
      const answer = await this.#send(request, limit, false)
      return parse(await this.#read(answer, request, limit), request) as T
    } finally {
      limit.dispose()
    }
  }

  /** Closes idle connections; running requests and watches end by their own signals. */
  close(): void {
    this.#transport.close()
  }

  /** Resolves with a 2xx answer whose body is still to be read. */
  async #send(request: ApiRequest, limit: Deadline, longLived: boolean): Promise<IncomingMessage> {
    const started = this.#time.monotonic()
    let code: string = noAnswer
    try {
      const answer = await this.#transport.send({
        method: request.method,
        path: request.path + queryString(request.query ?? {}),
        headers: this.#headers(request),
        signal: limit.signal,
        longLived,
        ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
      })
      code = String(answer.statusCode)
      if (isSuccess(answer)) return answer
      throw await this.#failure(answer, request, limit)
    } catch (error) {
      throw limit.expired() ? timedOut(request) : error
    } finally {
      const seconds = (this.#time.monotonic() - started) / 1000
      this.#observe({ method: request.method, host: this.#host, code, seconds })
    }
  }

  async #failure(answer: IncomingMessage, request: ApiRequest, limit: Deadline): Promise<ApiError> {
    if (answer.statusCode === 401) this.#access.refresh()
    const text = await this.#read(answer, request, limit)
    return errorFromStatus(parseJson(text), {
      request: nameOf(request),
      status: answer.statusCode ?? 0,
      retryAfter: answer.headers['retry-after'],
      confidential: isConfidential(request),
    })
  }

  async #read(answer: IncomingMessage, request: ApiRequest, limit: Deadline): Promise<string> {
    answer.setEncoding('utf8')
    try {
      let text = ''
      for await (const chunk of answer) text += String(chunk)
      return text
    } catch {
      if (limit.expired()) throw timedOut(request)
      request.signal?.throwIfAborted()
      throw new ApiError('unreachable', `${nameOf(request)}: the answer was cut`)
    }
  }

  #headers(request: ApiRequest): Record<string, string> {
    const type = request.body === undefined ? {} : { 'content-type': request.contentType ?? json }
    return { accept: request.accept ?? json, 'user-agent': this.#userAgent, ...type }
  }
}

interface ListBody<T> {
  items?: T[]
  metadata?: { resourceVersion?: string; continue?: string }
}

function isSuccess(answer: IncomingMessage): boolean {
  return answer.statusCode !== undefined && answer.statusCode >= 200 && answer.statusCode < 300
}

async function* streamOf<T>(
  events: AsyncGenerator<T, void, void>,
  limit: Deadline,
): AsyncGenerator<T, void, void> {
  try {
    yield* events
  } catch (error) {
    limit.signal.throwIfAborted()
    throw error
  } finally {
    limit.dispose()
  }
}

function contextOf(request: ApiRequest): WatchContext {
  return { request: nameOf(request), confidential: isConfidential(request) }
}

function timedOut(request: ApiRequest): ApiError {
  return new ApiError('timeout', `${nameOf(request)}: no answer in time`)
}

function parse(text: string, request: ApiRequest): unknown {
  const body = parseJson(text)
  if (body === undefined) throw new ApiError('server-error', `${nameOf(request)}: the answer is not JSON`)
  return body
}
