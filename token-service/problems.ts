import type { Problem } from '#core/errors.ts'
import type { TokenFailure } from './verifier/token-refused.ts'

interface ProblemKind {
  readonly status: number
  readonly title: string
}

/** Every way in which a request can end badly: the code that clients rely on, its status and its words. */
export const problems = {
  invalid_request: { status: 400, title: 'The request is not as it should be' },
  malformed_json: { status: 400, title: 'The body is no JSON' },
  unsupported_grant_type: { status: 400, title: 'The grant type is none of those that are taken here' },
  invalid_target: { status: 400, title: 'The token would be for somebody else' },
  invalid_scope: { status: 400, title: 'Tokens have no scopes here' },
  ttl_out_of_range: { status: 400, title: 'The credential may not live that long, or that short' },
  unsupported_token_format: { status: 400, title: 'The identity token is no signed JWT' },
  invalid_api_key: { status: 401, title: 'The API key is missing or not valid' },
  invalid_credential: { status: 401, title: 'The credential is gone, or its password is not right' },
  invalid_webhook: { status: 401, title: 'The webhook is not genuine, or came before' },
  invalid_token: { status: 401, title: 'The identity token is not valid' },
  token_header_not_allowed: { status: 401, title: 'The header of the identity token is not allowed' },
  unknown_key: { status: 401, title: 'The identity token is signed with an unknown key' },
  invalid_signature: { status: 401, title: 'The signature of the identity token does not hold' },
  issuer_mismatch: { status: 401, title: 'The identity token is of another issuer' },
  audience_mismatch: { status: 401, title: 'The identity token is for another audience' },
  token_expired: { status: 401, title: 'The identity token has expired' },
  token_revoked: { status: 401, title: 'The identity token was issued before a revocation' },
  session_ended: {
    status: 401,
    title: 'The identity provider says that the user is signed out, blocked or gone',
  },
  token_not_yet_valid: { status: 401, title: 'The identity token is not valid yet' },
  claim_mismatch: { status: 401, title: 'A claim of the identity token is not as it must be' },
  token_type_not_allowed: { status: 403, title: 'This sort of identity token may not be exchanged' },
  anonymous_not_allowed: { status: 403, title: 'The organization issues no anonymous credentials' },
  attribute_not_allowed: { status: 403, title: 'The API key may not set this attribute' },
  access_list_not_allowed: { status: 403, title: 'The API key may not name access lists' },
  agent_id_not_allowed: { status: 403, title: 'The API key may not issue for this agent' },
  renewal_not_possible: { status: 403, title: 'The credential can not be renewed by this proof' },
  insufficient_scope: { status: 403, title: 'The API key may not do this' },
  origin_not_allowed: { status: 403, title: 'The API key may not be used from this origin' },
  users_not_enabled: {
    status: 403,
    title: 'The Users API is not enabled for this organization',
  },
  user_limit_reached: { status: 403, title: 'The organization has as many users as it may' },
  organization_suspended: { status: 403, title: 'The organization is suspended' },
  provider_suspended: { status: 403, title: 'The identity provider is suspended' },
  not_found: { status: 404, title: 'There is nothing under this path' },
  organization_not_found: {
    status: 404,
    title: 'There is no such organization, or it is not open to callers without an API key',
  },
  provider_not_found: { status: 404, title: 'The organization has no such identity provider' },
  user_not_found: { status: 404, title: 'The organization has no such user' },
  credential_not_found: { status: 404, title: 'There is no such credential, or it is gone already' },
  session_not_found: { status: 404, title: 'There is no such session, or it has ended already' },
  method_not_allowed: { status: 405, title: 'The path does not have this method' },
  user_exists: { status: 409, title: 'The organization has a user of that name already' },
  user_changed: { status: 409, title: 'Somebody else changes the user at the same time' },
  payload_too_large: { status: 413, title: 'The body is too large' },
  token_too_large: { status: 413, title: 'The identity token is too large' },
  unsupported_media_type: { status: 415, title: 'The body has another media type than this path takes' },
  access_list_not_found: { status: 422, title: 'The organization has no such access list' },
  idempotency_key_reused: {
    status: 422,
    title: 'The Idempotency-Key came with another request for the same user',
  },
  provider_required: { status: 422, title: 'The request must name an identity provider' },
  rate_limited: { status: 429, title: 'There are more requests than are allowed' },
  internal_error: { status: 500, title: 'Something is wrong here; the request may be fine' },
  service_unavailable: { status: 503, title: 'The service can not answer right now' },
  overloaded: { status: 503, title: 'There is more to do here than can be done right now' },
  users_unavailable: {
    status: 503,
    title: 'Users can not be read or changed right now: where they are kept does not answer',
  },
  provider_unavailable: { status: 503, title: 'The identity provider can not be reached right now' },
} as const satisfies Record<TokenFailure, ProblemKind> & Record<string, ProblemKind>

export type ProblemCode = keyof typeof problems

export interface ProblemOptions {
  /** For callers with a secret key only. */
  readonly detail?: string
  /** What is wrong with the caller's own request, field by field; for everybody. */
  readonly errors?: readonly Problem[]
  readonly headers?: Readonly<Record<string, string>>
  /** For the audit log only: what exactly, where callers do not hear of it. */
  readonly why?: string
}

/** A request that ends with this problem. */
export class ProblemError extends Error {
  readonly code: ProblemCode
  readonly options: ProblemOptions

  constructor(code: ProblemCode, options: ProblemOptions = {}) {
    super(options.detail ?? problems[code].title)
    this.name = 'ProblemError'
    this.code = code
    this.options = options
  }
}
