import type { ProblemCode } from '../problems.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the OpenAPI document says of the route beside its schemas; `none`: it is not in there. */
    readonly docs?: RouteDocs | 'none'
  }
}

export interface RouteDocs {
  readonly tag: Tag
  readonly summary: string
  readonly description?: string
  /** How callers say who they are. */
  readonly caller: keyof typeof callers
  /** Every way in which it can end badly, beside those of all routes. */
  readonly problems: readonly ProblemCode[]
  /** A request as somebody would make it. */
  readonly example?: object
  /** Whether the request may go without its body. */
  readonly isBodyOptional?: true
}

export const tags = {
  Tokens: 'Credentials: exchanged for an identity token, or asked for by API key.',
  Users: 'Permanent users: devices, services, whatever can keep a password.',
  Webhooks: 'What identity providers tell of who is gone.',
  Sessions: 'Who is connected, and for whom messages wait.',
  Access: 'What a credential may do, and why.',
  Audit: 'Who came, who was refused, and whose access ended.',
  Hosted: 'The wire contract of the hosted product: its clients work with this service by another URL.',
  OAuth: 'OAuth 2.0 Token Exchange (RFC 8693).',
  Documentation: 'This document.',
} as const
export type Tag = keyof typeof tags

/** `security` of an operation, by who may call it. */
export const callers = {
  /** An API key, as a bearer token. */
  apiKey: [{ apiKey: [] }],
  /** The same, or nobody in particular. */
  anybodyOrApiKey: [{ apiKey: [] }, {}],
  /** The proof stands in the body. */
  body: [],
  /** Signed by who sends it. */
  signature: [],
  client: [{ client: [] }, { apiKey: [] }, {}],
} as const

/** Problems of every route. */
export const commonProblems = [
  'internal_error',
  'overloaded',
  'rate_limited',
  'service_unavailable',
] as const satisfies readonly ProblemCode[]

/** Of routes that read a body. */
export const bodyProblems = [
  'invalid_request',
  'malformed_json',
  'payload_too_large',
  'unsupported_media_type',
] as const satisfies readonly ProblemCode[]

/** Of routes that an API key opens. */
export const keyProblems = [
  'invalid_api_key',
  'insufficient_scope',
  'origin_not_allowed',
  'organization_suspended',
] as const satisfies readonly ProblemCode[]

/** Of routes that judge an identity token. */
export const tokenProblems = [
  'audience_mismatch',
  'claim_mismatch',
  'invalid_signature',
  'invalid_token',
  'issuer_mismatch',
  'provider_not_found',
  'provider_suspended',
  'provider_unavailable',
  'session_ended',
  'token_expired',
  'token_header_not_allowed',
  'token_not_yet_valid',
  'token_revoked',
  'token_too_large',
  'token_type_not_allowed',
  'unknown_key',
  'unsupported_token_format',
] as const satisfies readonly ProblemCode[]
