/**
 * Every failure of a call to the API server. Its message is safe to log: it is the `message` of a Status body
 * (cut to 500 characters), never another body, a header or a token; calls about Secrets keep the reason only.
 *
 * - `not-found` `already-exists` `forbidden` `unauthorized` `invalid`  asking again changes nothing by itself
 * - `conflict`           the resourceVersion or a field owner is not what the caller took it for
 * - `gone`               the resourceVersion or continue token is too old: list again
 * - `too-many-requests`  `retryAfterMs` says how long to wait, when the server told
 * - `timeout`            no full answer in time, from the server or within the caller's limit
 * - `unreachable`        no connection, or one cut before the end of the answer
 * - `server-error`       everything else, including an answer that is not what Kubernetes sends
 */
export type ApiErrorCode =
  | 'not-found'
  | 'conflict'
  | 'already-exists'
  | 'forbidden'
  | 'invalid'
  | 'too-many-requests'
  | 'gone'
  | 'unauthorized'
  | 'timeout'
  | 'unreachable'
  | 'server-error'

export interface ApiErrorDetails {
  /** HTTP status; 0 when there was no answer. */
  readonly status?: number
  /** The Status body's reason, such as `AlreadyExists`; '' when there was none. */
  readonly reason?: string
  readonly retryAfterMs?: number
}

export class ApiError extends Error {
  readonly code: ApiErrorCode
  readonly status: number
  readonly reason: string
  readonly retryAfterMs: number | undefined

  constructor(code: ApiErrorCode, message: string, details: ApiErrorDetails = {}) {
    super(message)
    this.name = 'ApiError'
    this.code = code
    this.status = details.status ?? 0
    this.reason = details.reason ?? ''
    this.retryAfterMs = details.retryAfterMs
  }
}

export function isApiError(error: unknown, ...codes: ApiErrorCode[]): error is ApiError {
  return error instanceof ApiError && (codes.length === 0 || codes.includes(error.code))
}

/** What an answer tells beside its Status body. */
export interface FailureContext {
  /** What was asked, such as `GET /api/v1/namespaces/default/secrets/a`. */
  readonly request: string
  readonly status: number
  /** Value of the Retry-After header. */
  readonly retryAfter?: string | undefined
  /** Leaves the server's message out, because it may quote the object. */
  readonly confidential: boolean
}

/** Reads a Status object (already parsed; anything else counts as absent). */
export function errorFromStatus(body: unknown, context: FailureContext): ApiError {
  const status = isStatus(body) ? body : {}
  const httpStatus = numberOr(status.code, context.status)
  const reason = typeof status.reason === 'string' ? status.reason : ''
  const said = context.confidential || typeof status.message !== 'string' ? reason : status.message
  const retryAfterMs = retryDelay(context.retryAfter, status.details?.retryAfterSeconds)
  return new ApiError(
    codeOf(httpStatus, reason),
    `${context.request}: ${httpStatus} ${said.slice(0, 500)}`.trim(),
    {
      status: httpStatus,
      reason,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    },
  )
}

interface StatusBody {
  code?: unknown
  reason?: unknown
  message?: unknown
  details?: { retryAfterSeconds?: unknown }
}

function isStatus(body: unknown): body is StatusBody {
  return typeof body === 'object' && body !== null && 'kind' in body && body.kind === 'Status'
}

const codeByStatus: Record<number, ApiErrorCode> = {
  400: 'invalid',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not-found',
  408: 'timeout',
  409: 'conflict',
  410: 'gone',
  422: 'invalid',
  429: 'too-many-requests',
  504: 'timeout',
}

function codeOf(status: number, reason: string): ApiErrorCode {
  if (reason === 'AlreadyExists') return 'already-exists'
  if (reason === 'Expired' || reason === 'Gone') return 'gone'
  return codeByStatus[status] ?? 'server-error'
}

function retryDelay(header: string | undefined, seconds: unknown): number | undefined {
  const value = header === undefined ? seconds : Number(header)
  return typeof value === 'number' && value >= 0 && Number.isFinite(value) ? value * 1000 : undefined
}

function numberOr(value: unknown, other: number): number {
  return typeof value === 'number' ? value : other
}
