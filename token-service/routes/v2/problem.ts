import { type ProblemCode, problems } from '../../problems.ts'
import { type Answerable, challenge, describe, type ProblemWriter } from '../../plugins/error-response.ts'

/** Where the hosted product has a word of its own for a problem. */
const words: Partial<Record<ProblemCode, { readonly status?: number; readonly error: string }>> = {
  invalid_api_key: { error: 'unauthorized' },
  invalid_credential: { error: 'unauthorized' },
  malformed_json: { error: 'invalid_request' },
  // Its client stops renewing then, and asks its application for a new token.
  renewal_not_possible: { status: 401, error: 'token_expired' },
}

/** Problems as the hosted product says them: `error` for programs, `error_description` (and `message`) for people. */
export const writeV2Problem: ProblemWriter = (problem, reply) => {
  const code = codeOf(problem)
  const { status = problems[code].status, error = code } = words[code] ?? {}
  const text = describe({ ...problem, code })
  return reply
    .code(status)
    .headers({ ...problem.headers, ...(status === 401 ? challenge(code) : {}) })
    .type('application/json')
    .send({ error, error_description: text, message: text })
}

/** That a token is over may be heard by everybody: it was checked after the signature, and clients go by it. */
function codeOf({ code, failure }: Answerable): ProblemCode {
  return failure === 'token_expired' ? failure : code
}
