import type { FastifyRequest } from 'fastify'
import { bearerOf } from '../../plugins/api-key.ts'
import { ProblemError } from '../../problems.ts'

/** Who calls, as OAuth says it: the organization's id is the client id, an API key its secret. */
export interface OAuthClient {
  readonly organization: string | undefined
  /** Undefined: a public client. */
  readonly secret: string | undefined
}

interface ClientFields {
  readonly client_id?: string | undefined
  readonly client_secret?: string | undefined
}

/** By HTTP Basic, by fields of the form (RFC 6749 §2.3.1), or by an API key as bearer; never by two of them. */
export function clientOf(request: FastifyRequest, { client_id, client_secret }: ClientFields): OAuthClient {
  const { authorization } = request.headers
  if (authorization === undefined) return { organization: client_id, secret: client_secret }
  if (client_secret !== undefined) {
    const remedy = 'authenticate in one way only'
    throw new ProblemError('invalid_request', { errors: [{ field: 'client_secret', remedy }] })
  }
  if (!/^basic /i.test(authorization)) return { organization: client_id, secret: bearerOf(request) }
  const [name, secret] = basicOf(authorization)
  if (client_id !== undefined && client_id !== name) {
    throw new ProblemError('invalid_api_key', { why: 'other-organization' })
  }
  return { organization: name, secret }
}

/** Name and password are form-encoded before they are joined (RFC 6749 §2.3.1). */
function basicOf(authorization: string): readonly [string, string] {
  const text = Buffer.from(authorization.slice('basic '.length).trim(), 'base64').toString()
  const colon = text.indexOf(':')
  try {
    return [decode(text.slice(0, Math.max(colon, 0))), decode(text.slice(colon + 1))]
  } catch {
    throw new ProblemError('invalid_api_key', { why: 'malformed' })
  }
}

const decode = (text: string): string => decodeURIComponent(text.replaceAll('+', ' '))
