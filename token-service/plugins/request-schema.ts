import type { FastifyInstance } from 'fastify'
import type { TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import type { Problem } from '#core/errors.ts'
import { schemaProblems } from '#core/resources/schema-problems.ts'
import { ProblemError } from '../problems.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The body is a form; JSON everywhere else. */
    readonly isForm?: true
    /** What was sent is kept beside what it says, for who signs it byte by byte. */
    readonly keepsBytes?: true
  }
  interface FastifyRequest {
    /** Where the route keeps it. */
    sentBytes: Buffer | undefined
  }
}

/** Fields whose value may stand in an answer; any other might hold a secret. */
const shownFields = new Set(['agent_id', 'client_id', 'cursor', 'kind', 'limit', 'name', 'provider', 'ttl'])

/** Checks requests against their TypeBox schemas, without changing them, and says all that is wrong at once. */
export function checkRequests(app: FastifyInstance): void {
  app.setValidatorCompiler<TSchema>(({ schema, httpPart = 'body' }) => {
    const validator = Compile(schema)
    return (given: unknown) => {
      const value = httpPart === 'querystring' ? withNumbers(schema, given) : given
      return validator.Check(value)
        ? { value }
        : { error: new ProblemError('invalid_request', { errors: problemsOf(schema, value) }) }
    }
  })
  app.setSerializerCompiler(() => (answer) => JSON.stringify(answer))
  app.removeAllContentTypeParsers()
  app.decorateRequest('sentBytes', undefined)
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, bytes, done) => {
    const { isForm, keepsBytes } = request.routeOptions.config
    if (isForm === true) return done(new ProblemError('unsupported_media_type'))
    if (keepsBytes === true) request.sentBytes = bytes as Buffer
    const body = bytes.toString()
    try {
      // An empty body is judged by the schema: a DELETE may say application/json and send nothing.
      done(null, body === '' ? undefined : JSON.parse(body))
    } catch {
      done(new ProblemError('malformed_json'))
    }
  })
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    (request, body, done) => {
      if (request.routeOptions.config.isForm === true) done(null, formFields(String(body)))
      else done(new ProblemError('unsupported_media_type'))
    },
  )
}

/** Fields of a form; one that comes more than once is a list, which most schemas refuse. */
function formFields(body: string): Record<string, string | string[]> {
  const fields = Object.create(null) as Record<string, string | string[]>
  const parameters = new URLSearchParams(body)
  for (const name of new Set(parameters.keys())) {
    const [value = '', ...more] = parameters.getAll(name)
    fields[name] = more.length === 0 ? value : [value, ...more]
  }
  return fields
}

/** What TypeBox' schemas may hold, as far as it is read here. */
interface Members {
  readonly type?: string
  readonly const?: unknown
  readonly properties?: Readonly<Record<string, Members>>
  readonly anyOf?: readonly Members[]
}

/** A query is all text: what is to be a whole number is read as one. */
function withNumbers(schema: Members, query: unknown): unknown {
  const isNumber = ([name, value]: readonly [string, unknown]): boolean =>
    schema.properties?.[name]?.type === 'integer' && /^\d{1,15}$/.test(String(value))
  return Object.fromEntries(
    Object.entries(query ?? {}).map((entry) => [entry[0], isNumber(entry) ? Number(entry[1]) : entry[1]]),
  )
}

function problemsOf(schema: TSchema, value: unknown): Problem[] {
  const meant = branchOf(schema, value)
  if (meant === undefined) return [{ field: 'kind', remedy: `give one of ${kindsOf(schema).join(', ')}` }]
  return schemaProblems(meant, value, 'body').map(({ field, value: found, remedy }) => {
    const name = field.replace(/^body\.?(?=.)/, '')
    return shownFields.has(name) && found !== undefined
      ? { field: name, value: shorten(found), remedy }
      : { field: name, remedy }
  })
}

/** Of alternatives that are told apart by `kind`, the one that was meant. */
function branchOf(schema: Members, value: unknown): TSchema | undefined {
  if (schema.anyOf === undefined || typeof value !== 'object' || value === null) return schema as TSchema
  const kind = Object.hasOwn(value, 'kind') ? (value as { kind?: unknown }).kind : undefined
  return schema.anyOf.find((branch) => branch.properties?.['kind']?.const === kind) as TSchema | undefined
}

function kindsOf({ anyOf = [] }: Members): readonly unknown[] {
  return anyOf.map((branch) => branch.properties?.['kind']?.const)
}

function shorten(value: unknown): unknown {
  return typeof value === 'string' && value.length > 120 ? `${value.slice(0, 117)}...` : value
}
