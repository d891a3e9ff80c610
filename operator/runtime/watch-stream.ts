/**
 * Reads a watch's body: one JSON object a line.
 *
 * Yields changes and bookmarks. An ERROR event throws its Status as ApiError (`gone` for 410). A body cut within
 * a line, or by a lost connection, throws `unreachable`; one that ends between lines just ends.
 */
import type { Readable } from 'node:stream'
import { ApiError, errorFromStatus } from '../../kubernetes/api-error.ts'
import type { KubernetesObject } from './objects.ts'

export type WatchEvent<T extends KubernetesObject> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string }

export interface WatchContext {
  /** What was asked, for messages. */
  readonly request: string
  readonly confidential: boolean
}

export async function* readWatch<T extends KubernetesObject>(
  body: Readable,
  context: WatchContext,
): AsyncGenerator<WatchEvent<T>, void, void> {
  for await (const line of readLines(body, context)) {
    if (line === '') continue
    const event = parseEvent<T>(line, context)
    if (event !== undefined) yield event
  }
}

async function* readLines(body: Readable, { request }: WatchContext): AsyncGenerator<string, void, void> {
  body.setEncoding('utf8')
  let rest = ''
  try {
    for await (const chunk of body) {
      const lines = (rest + String(chunk)).split('\n')
      rest = lines.pop() ?? ''
      yield* lines
    }
  } catch (error) {
    throw new ApiError('unreachable', `${request}: ${error instanceof Error ? error.message : 'cut'}`)
  }
  if (rest !== '') throw new ApiError('unreachable', `${request}: the watch ended within a line`)
}

function parseEvent<T extends KubernetesObject>(
  line: string,
  context: WatchContext,
): WatchEvent<T> | undefined {
  const { type, object } = parseLine(line, context)
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return { type, object: object as T }
    case 'BOOKMARK':
      return { type, resourceVersion: (object as T).metadata.resourceVersion ?? '' }
    case 'ERROR':
      throw errorFromStatus(object, { ...context, status: 500 })
    default:
      // A type of a later Kubernetes: what it means to us is nothing.
      return undefined
  }
}

function parseLine(line: string, { request }: WatchContext): { type: unknown; object: unknown } {
  try {
    const event: unknown = JSON.parse(line)
    if (typeof event === 'object' && event !== null && 'type' in event && 'object' in event) return event
  } catch {
    // The parser's message would quote the line.
  }
  throw new ApiError('server-error', `${request}: a watch event is not what Kubernetes sends`)
}
