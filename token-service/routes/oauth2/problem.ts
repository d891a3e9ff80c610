import { type ProblemCode, problems } from '../../problems.ts'
import { describe, type ProblemWriter } from '../../plugins/error-response.ts'

/**
 * RFC 6749 §5.2 knows few errors. A subject token that is not valid "for any reason" is `invalid_request`
 * (RFC 8693 §2.2.2), as is everything that is not listed here; `code` says which it is.
 */
const errors: Partial<Record<ProblemCode, string>> = {
  invalid_api_key: 'invalid_client',
  organization_not_found: 'invalid_client',
  unsupported_grant_type: 'unsupported_grant_type',
  invalid_target: 'invalid_target',
  invalid_scope: 'invalid_scope',
  insufficient_scope: 'unauthorized_client',
  origin_not_allowed: 'unauthorized_client',
  organization_suspended: 'unauthorized_client',
  internal_error: 'server_error',
  service_unavailable: 'temporarily_unavailable',
  provider_unavailable: 'temporarily_unavailable',
}

export const writeOAuthProblem: ProblemWriter = (problem, reply) => {
  const { code, headers } = problem
  const error = errors[code] ?? 'invalid_request'
  const status = error === 'invalid_client' ? 401 : isOfTheProtocol(code) ? 400 : problems[code].status
  return reply
    .code(status)
    .headers({ ...headers, ...(status === 401 ? { 'www-authenticate': 'Basic realm="cloudsignal"' } : {}) })
    .header('pragma', 'no-cache')
    .type('application/json')
    .send({ error, error_description: ascii(describe(problem)), code })
}

/** What HTTP itself says stays: 413, 415, 429 and 5xx. */
function isOfTheProtocol(code: ProblemCode): boolean {
  const { status } = problems[code]
  return status < 413 || status === 422
}

/** RFC 6749 §5.2: of error_description, only these characters. */
function ascii(text: string): string {
  return text.replaceAll('’', "'").replaceAll(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, '?')
}
