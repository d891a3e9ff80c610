import { Type } from 'typebox'
import { type ProblemCode, problems } from '../problems.ts'
import type { Face } from './face.ts'
import { describe } from './problem-json.ts'

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
  overloaded: 'temporarily_unavailable',
  rate_limited: 'temporarily_unavailable',
  service_unavailable: 'temporarily_unavailable',
  provider_unavailable: 'temporarily_unavailable',
}

/** OAuth 2.0 Token Exchange. */
export const oauth: Face = {
  name: 'oauth',
  mediaType: 'application/json',
  schema: Type.Object(
    {
      error: Type.String({ description: 'RFC 6749 §5.2, RFC 8693 §2.2.2.' }),
      error_description: Type.String(),
      code: Type.String({ description: 'More exactly; the same codes as in Problem.' }),
    },
    { title: 'OAuthError', description: 'What went wrong, in the words of OAuth.' },
  ),
  say(problem) {
    const { code } = problem
    const error = errors[code] ?? 'invalid_request'
    const isUnknownClient = error === 'invalid_client'
    return {
      status: isUnknownClient ? 401 : isOfTheProtocol(code) ? 400 : problems[code].status,
      headers: {
        pragma: 'no-cache',
        ...(isUnknownClient ? { 'www-authenticate': 'Basic realm="cloudsignal"' } : {}),
      },
      body: { error, error_description: ascii(describe(problem)), code },
    }
  },
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
