import type { FastifyInstance } from 'fastify'
import { type TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import type { Problem } from '#core/errors.ts'
import { schemaProblems } from '#core/resources/schema-problems.ts'
import { ProblemError } from '../problems.ts'

/** Fields whose value may stand in an answer; any other might hold a secret. */
const shownFields = new Set(['provider', 'ttl', 'client_id'])

/** Checks requests against their TypeBox schemas, without changing them, and says all that is wrong at once. */
export function checkRequests(app: FastifyInstance): void {
  app.setValidatorCompiler<TSchema>(({ schema }) => {
    const validator = Compile(schema)
    return (value: unknown) =>
      validator.Check(value)
        ? { value }
        : { error: new ProblemError('invalid_request', { errors: problemsOf(schema, value) }) }
  })
  app.setSerializerCompiler(() => (answer) => JSON.stringify(answer))
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    try {
      // An empty body is judged by the schema: a DELETE may say application/json and send nothing.
      done(null, body === '' ? undefined : JSON.parse(String(body)))
    } catch {
      done(new ProblemError('malformed_json'))
    }
  })
}

function problemsOf(schema: TSchema, value: unknown): Problem[] {
  return schemaProblems(schema, value, 'body').map(({ field, value: found, remedy }) => {
    const name = field.replace(/^body\.?(?=.)/, '')
    return shownFields.has(name) && found !== undefined
      ? { field: name, value: shorten(found), remedy }
      : { field: name, remedy }
  })
}

function shorten(value: unknown): unknown {
  return typeof value === 'string' && value.length > 120 ? `${value.slice(0, 117)}...` : value
}
