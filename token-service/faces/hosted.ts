import { Type } from 'typebox'
import { type ProblemCode, problems } from '../problems.ts'
import type { Answerable, Face } from './face.ts'
import { challenge, describe } from './problem-json.ts'

/** Where the hosted product has a word of its own for a problem. */
const words: Partial<Record<ProblemCode, { readonly status?: number; readonly error: string }>> = {
  invalid_api_key: { error: 'unauthorized' },
  invalid_credential: { error: 'unauthorized' },
  malformed_json: { error: 'invalid_request' },
  // Its client stops renewing then, and asks its application for a new token.
  renewal_not_possible: { status: 401, error: 'token_expired' },
}

/** The hosted product's wire contract: `error` for programs, `error_description` and `message` for people. */
export const hosted: Face = {
  name: 'hosted',
  mediaType: 'application/json',
  schema: Type.Object(
    { error: Type.String(), error_description: Type.String(), message: Type.String() },
    { title: 'HostedError', description: 'What went wrong, in the words of the hosted product.' },
  ),
  say(problem) {
    const code = codeOf(problem)
    const { status = problems[code].status, error = code } = words[code] ?? {}
    const text = describe({ ...problem, code })
    return {
      status,
      ...(status === 401 ? { headers: challenge(code) } : {}),
      body: { error, error_description: text, message: text },
    }
  },
}

/** That a token is over may be heard by everybody: it was checked after the signature, and clients go by it. */
function codeOf({ code, failure }: Answerable): ProblemCode {
  return failure === 'token_expired' ? failure : code
}
