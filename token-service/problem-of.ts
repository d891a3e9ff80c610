import { isDomainError } from '#core/errors.ts'
import { minuteMs, RateExceeded } from '#core/stores/rate-limiter.ts'
import { rateLimited } from './limits/rate-headers.ts'
import { ProblemError } from './problems.ts'
import { UserResourcesError } from './users/user-resources.ts'
import { ProviderUnavailable, TokenRefused } from './verifier/token-refused.ts'

const storeRetrySeconds = 2
const usersRetrySeconds = 5

/** What a failure is to the caller. Whatever nobody expected is `internal_error`, without a word of why. */
export function problemOf(error: unknown): ProblemError {
  if (error instanceof ProblemError) return error
  if (error instanceof TokenRefused) return new ProblemError(error.failure, { detail: error.message })
  if (error instanceof ProviderUnavailable) {
    return new ProblemError('provider_unavailable', retryAfter(error.retryAfterSeconds))
  }
  if (error instanceof RateExceeded) {
    const { limit, waitMs } = error
    return rateLimited([limit], { waitMs, left: [{ remaining: 0, fullInMs: minuteMs }] })
  }
  if (error instanceof UserResourcesError) return problemOfUsers(error)
  if (isDomainError(error)) return new ProblemError('service_unavailable', retryAfter(storeRetrySeconds))
  return problemOfFastify(error)
}

function problemOfUsers({ failure, message }: UserResourcesError): ProblemError {
  switch (failure) {
    case 'already-exists':
      return new ProblemError('user_exists')
    case 'conflict':
      return new ProblemError('user_changed')
    case 'cursor':
      return new ProblemError('invalid_request', {
        errors: [{ field: 'cursor', remedy: 'begin again without it: it is too old, or none of ours' }],
      })
    case 'refused':
      return new ProblemError('invalid_request', { detail: message })
    case 'not-allowed':
      return new ProblemError('users_not_enabled', { detail: message })
    case 'unavailable':
      return new ProblemError('users_unavailable', retryAfter(usersRetrySeconds))
  }
}

function problemOfFastify(error: unknown): ProblemError {
  const { code, statusCode } = error as { code?: unknown; statusCode?: unknown }
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new ProblemError('payload_too_large')
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new ProblemError('unsupported_media_type')
    case 'FST_ERR_BAD_URL':
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return new ProblemError('not_found')
    default:
      return typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500
        ? new ProblemError('invalid_request')
        : new ProblemError('internal_error')
  }
}

function retryAfter(seconds: number): { readonly headers: Readonly<Record<string, string>> } {
  return { headers: { 'retry-after': String(seconds) } }
}
