/**
 * Why an identity token is not accepted. Callers with a secret key are told which; everybody else hears
 * `invalid_token`.
 *
 * - `unsupported_token_format`  no compact JWS: an opaque token, a JWE, or something that only looks like one
 * - `token_header_not_allowed`  a header that carries keys, extensions, or another algorithm than the provider's
 * - `unknown_key`               the issuer publishes no such key
 * - `invalid_signature`
 * - `issuer_mismatch`, `audience_mismatch`
 * - `token_expired`, `token_not_yet_valid`
 * - `claim_mismatch`            a claim is missing, of the wrong type, or not what the provider asks for
 * - `token_revoked`             issued before a revocation of its subject, its provider or the organization
 * - `session_ended`             the provider says, asked about it now or by a webhook, that the user is signed out, blocked or gone
 * - `token_type_not_allowed`    a genuine token of a sort that may not be exchanged here
 */
export type TokenFailure =
  | 'unsupported_token_format'
  | 'token_header_not_allowed'
  | 'unknown_key'
  | 'invalid_signature'
  | 'issuer_mismatch'
  | 'audience_mismatch'
  | 'token_expired'
  | 'token_not_yet_valid'
  | 'claim_mismatch'
  | 'token_revoked'
  | 'session_ended'
  | 'token_type_not_allowed'

export class TokenRefused extends Error {
  readonly failure: TokenFailure

  /** `detail` never quotes the token; it names rules and claims. */
  constructor(failure: TokenFailure, detail: string) {
    super(detail)
    this.name = 'TokenRefused'
    this.failure = failure
  }
}

/** The issuer did not give its keys, or did not say whether somebody may still sign in: nothing is known of the token. Never a refusal of it. */
export class ProviderUnavailable extends Error {
  readonly retryAfterSeconds: number

  constructor(message: string, retryAfterSeconds: number, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'ProviderUnavailable'
    this.retryAfterSeconds = retryAfterSeconds
  }
}
