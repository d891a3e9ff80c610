import { parseJson } from '#core/json.ts'
import { ApiError, errorFromStatus } from '../../kubernetes/api-error.ts'
import type { ClusterAccess } from '../../kubernetes/cluster-access.ts'
import { createHttpTransport, type HttpTransport } from '../../kubernetes/http-transport.ts'

export interface ClusterRequest {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly body?: object
  readonly contentType?: string
}

const json = 'application/json'
// A caller of ours waits for it, and gives up after a few seconds.
const timeoutMs = 5_000
const longestAnswer = 16 * 1024 * 1024

/** Single requests to the API server: no watches, no cache. Rejects with an ApiError. */
export class ClusterClient {
  readonly #access: ClusterAccess
  readonly #transport: HttpTransport
  readonly #timeoutMs: number

  constructor(access: ClusterAccess, limitMs = timeoutMs) {
    this.#access = access
    this.#transport = createHttpTransport(access)
    this.#timeoutMs = limitMs
  }

  /** The answer's JSON. A token that has just been replaced is read anew, and the request made again. */
  async request(request: ClusterRequest): Promise<unknown> {
    const first = await this.#send(request)
    if (first.status !== 401) return answerOf(first, request)
    this.#access.refresh()
    return answerOf(await this.#send(request), request)
  }

  close(): void {
    this.#transport.close()
  }

  async #send({ method, path, query = {}, body, contentType = json }: ClusterRequest): Promise<Answer> {
    const parameters = new URLSearchParams(query)
    const signal = AbortSignal.timeout(this.#timeoutMs)
    try {
      const response = await this.#transport.send({
        method,
        path: parameters.size === 0 ? path : `${path}?${parameters}`,
        headers: {
          accept: json,
          'user-agent': 'cloudsignal-token-service',
          ...(body === undefined ? {} : { 'content-type': contentType }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal,
        longLived: false,
      })
      response.setEncoding('utf8')
      let text = ''
      for await (const chunk of response) {
        text += String(chunk)
        if (text.length > longestAnswer) throw new ApiError('server-error', 'the answer is too long')
      }
      return { status: response.statusCode ?? 0, text }
    } catch (error) {
      if (signal.aborted) throw new ApiError('timeout', `${method} ${path}: no answer in time`)
      if (error instanceof ApiError) throw error
      throw new ApiError('unreachable', `${method} ${path}: the answer was cut`)
    }
  }
}

interface Answer {
  readonly status: number
  readonly text: string
}

function answerOf({ status, text }: Answer, { method, path }: ClusterRequest): unknown {
  const body = parseJson(text)
  const request = `${method} ${path}`
  if (status < 200 || status > 299) throw errorFromStatus(body, { request, status, confidential: false })
  if (body === undefined) throw new ApiError('server-error', `${request}: the answer is no JSON`)
  return body
}
