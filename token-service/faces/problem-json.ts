import { Type } from 'typebox'
import { type ProblemCode, problems } from '../problems.ts'
import type { Answerable, Face } from './face.ts'

const codes = Object.keys(problems) as ProblemCode[]

const Problem = Type.Object(
  {
    type: Type.String({ format: 'uri' }),
    title: Type.String({ description: 'For people.' }),
    status: Type.Integer(),
    code: Type.Enum(codes, { description: 'For programs: it stays what it is.' }),
    detail: Type.Optional(Type.String({ description: 'For callers with a secret key only.' })),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          field: Type.String(),
          value: Type.Optional(Type.Unknown({ description: 'Where it can not be a secret.' })),
          remedy: Type.String({ description: 'What would be right.' }),
        }),
      ),
    ),
  },
  { title: 'Problem', description: 'What went wrong (RFC 9457).' },
)

/** The native face: problem+json. */
export const problemJson: Face = {
  name: 'problem',
  mediaType: 'application/problem+json',
  schema: Problem,
  say: ({ code, detail, errors }) => ({
    status: problems[code].status,
    ...(problems[code].status === 401 ? { headers: challenge(code) } : {}),
    body: {
      type: `https://cloudsignal.app/problems/${code}`,
      ...problems[code],
      code,
      ...(detail === undefined ? {} : { detail }),
      ...(errors === undefined ? {} : { errors }),
    },
  }),
}

/** RFC 9110 §15.5.2: a 401 names the scheme; RFC 6750 §3.1: `invalid_token` is about the bearer token itself. */
export function challenge(code: ProblemCode): { readonly 'www-authenticate': string } {
  const error = code === 'invalid_api_key' ? ', error="invalid_token"' : ''
  return { 'www-authenticate': `Bearer realm="cloudsignal"${error}` }
}

/** All that is known of a problem, in one text. */
export function describe({ code, detail, errors = [] }: Answerable): string {
  const fields = errors.map(({ field, remedy }) => `${field}: ${remedy}`)
  return [problems[code].title, ...(detail === undefined ? [] : [detail]), ...fields].join('; ')
}
