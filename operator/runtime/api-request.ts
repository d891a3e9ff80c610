/** What is asked of the Kubernetes API, and how it is spelled as a request. */
import { type KubernetesObject, resourcePath, type ResourceType } from './objects.ts'

export interface CallOptions {
  readonly signal?: AbortSignal
  readonly timeoutMs?: number
}

export interface ReadOptions extends CallOptions {
  readonly metadataOnly?: boolean
}

export interface SelectOptions extends ReadOptions {
  /** All namespaces without it. */
  readonly namespace?: string
  readonly labelSelector?: string
  readonly fieldSelector?: string
}

export interface ListOptions extends SelectOptions {
  /** '0' any cached state, '' (default) the newest, otherwise not older than this. */
  readonly resourceVersion?: string
  readonly limit?: number
  /** `continue` of the page before. */
  readonly continue?: string
}

export interface ListPage<T> {
  readonly items: T[]
  readonly resourceVersion: string
  /** Absent on the last page. */
  readonly continue?: string
}

export interface WatchOptions extends SelectOptions {
  /** Changes after this one. */
  readonly resourceVersion: string
  /** After this the server ends the stream. */
  readonly timeoutSeconds?: number
}

export interface ApplyOptions extends CallOptions {
  readonly fieldManager: string
  readonly force?: boolean
}

export interface PatchOptions extends CallOptions {
  /** Rejects with `conflict` when the object is no longer at this version. */
  readonly resourceVersion?: string
  readonly subresource?: string
  readonly fieldManager?: string
}

export interface DeleteOptions extends CallOptions {
  readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan'
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string }
  readonly gracePeriodSeconds?: number
}

export interface JsonPatchOperation {
  readonly op: 'add' | 'remove' | 'replace' | 'test'
  readonly path: string
  readonly value?: unknown
}

export interface ApiRequest extends CallOptions {
  readonly method: string
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  readonly body?: unknown
  readonly contentType?: string
  readonly accept?: string
  /** Keeps the server's message out of errors; set by itself for Secrets. */
  readonly confidential?: boolean
}

export function call({ signal, timeoutMs }: CallOptions): CallOptions {
  return { ...(signal === undefined ? {} : { signal }), ...(timeoutMs === undefined ? {} : { timeoutMs }) }
}

export function namespaceOf({ namespace }: { namespace?: string }): { namespace?: string } {
  return namespace === undefined ? {} : { namespace }
}

export function pathOf(type: ResourceType, object: KubernetesObject, subresource?: string): string {
  return resourcePath(type, object.metadata, subresource)
}

export function selection(options: SelectOptions): Record<string, string | undefined> {
  return { labelSelector: options.labelSelector, fieldSelector: options.fieldSelector }
}

/** A continue token carries its version: the server refuses another one beside it. */
export function versionOf(options: ListOptions): { resourceVersion?: string; resourceVersionMatch?: string } {
  if (options.continue !== undefined || !options.resourceVersion) return {}
  // Said outright, because with a limit the server would otherwise take the version for an exact one.
  return { resourceVersion: options.resourceVersion, resourceVersionMatch: 'NotOlderThan' }
}

export function watchQuery(options: WatchOptions): NonNullable<ApiRequest['query']> {
  return {
    watch: true,
    allowWatchBookmarks: true,
    resourceVersion: options.resourceVersion,
    timeoutSeconds: options.timeoutSeconds,
  }
}

export function atVersion(patch: Readonly<Record<string, unknown>>, resourceVersion: string): object {
  const metadata = typeof patch['metadata'] === 'object' ? patch['metadata'] : {}
  return { ...patch, metadata: { ...metadata, resourceVersion } }
}

export function queryString(query: NonNullable<ApiRequest['query']>): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) parameters.set(name, String(value))
  }
  return parameters.size === 0 ? '' : `?${parameters}`
}

export function nameOf(request: ApiRequest): string {
  return `${request.method} ${request.path}`
}

export function isConfidential(request: ApiRequest): boolean {
  return request.confidential ?? /\/secrets(\/|$)/.test(request.path)
}
