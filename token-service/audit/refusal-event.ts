import type { FastifyRequest } from 'fastify'
import type { AuditEvent } from '#core/audit/audit-event.ts'
import { problemOf } from '../problem-of.ts'
import { type ProblemCode, ProblemError } from '../problems.ts'
import { auditedFields } from './audited-request.ts'

/** About the API key itself, whatever it was used for. */
const ofKeys: ReadonlySet<ProblemCode> = new Set<ProblemCode>([
  'invalid_api_key',
  'insufficient_scope',
  'origin_not_allowed',
])

/** The event that a failed request is, with the cause that the caller may not have heard; undefined where it is none. */
export function refusalEvent(error: unknown, request: FastifyRequest): AuditEvent | undefined {
  const problem = problemOf(error)
  const { code } = problem
  const { organization, apiKey, address, request: id, ...subject } = auditedFields(request)
  const caller = { organization, apiKey, address, request: id }
  const { why } = problem.options
  if (code === 'rate_limited') return { event: 'request.limited', ...caller, reason: why ?? code }
  const detail = detailOf(error)
  if (ofKeys.has(code)) return { event: 'api-key.refused', ...caller, reason: why ?? code, detail }
  const event = request.routeOptions.config?.refusal
  if (event === undefined) return undefined
  if (event === 'webhook.refused') {
    return { event, ...caller, provider: subject.provider, reason: why ?? code }
  }
  const fields = { ...caller, ...subject, reason: code, detail: detail ?? why }
  return event === 'credential.refused' ? { event, ...fields } : { event, ...fields }
}

/** What it says beyond its code; no error quotes a token. */
function detailOf(error: unknown): string | undefined {
  if (error instanceof ProblemError) return error.options.detail
  if (!(error instanceof Error)) return undefined
  const cause = error.cause instanceof Error ? `: ${error.cause.message}` : ''
  return `${error.message}${cause}`
}
