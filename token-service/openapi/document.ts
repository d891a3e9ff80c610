import type { RouteOptions } from 'fastify'
import type { TSchema } from 'typebox'
import type { Face } from '../faces/face.ts'
import { problemJson } from '../faces/problem-json.ts'
import { type ProblemCode, problems } from '../problems.ts'
import type { JsonObject, OpenApiDocument, Operation, Parameter, Response } from './openapi-types.ts'
import { callers, commonProblems, tags } from './route-docs.ts'
import { SchemaComponents } from './schema-components.ts'

interface Components {
  readonly schemas: SchemaComponents
  /** What problems look like: `<code>` in the native face, `<code>.<face>` in the others. */
  readonly examples: Record<string, JsonObject>
}

type Schemas = Readonly<Record<string, TSchema>>

/** Gathers routes as they are made; `document` then describes them by the schemas that requests are checked by. */
export class OpenApi {
  readonly #routes: RouteOptions[] = []

  add(route: RouteOptions): void {
    if (route.config?.docs !== 'none') this.#routes.push(route)
  }

  document(): OpenApiDocument {
    const components: Components = { schemas: new SchemaComponents(), examples: everyProblem() }
    const paths: Record<string, Record<string, Operation>> = {}
    for (const route of this.#routes) {
      const path = route.url.replaceAll(/:(\w+)/g, '{$1}')
      const method = String(route.method).toLowerCase()
      paths[path] = { ...paths[path], [method]: operationOf(route, components) }
    }
    return {
      openapi: '3.1.1',
      info: {
        title: 'CloudSignal token service',
        version: '1',
        description: 'Temporary MQTT credentials for people, agents and workers.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/' }],
      tags: Object.entries(tags).map(([name, description]) => ({ name, description })),
      paths,
      components: {
        securitySchemes,
        schemas: sorted(components.schemas.all()),
        examples: sorted(components.examples),
      },
    }
  }
}

const securitySchemes: JsonObject = {
  apiKey: {
    type: 'http',
    scheme: 'bearer',
    description: 'An API key of the organization: cs_sk_… (secret) or cs_pk_… (publishable).',
  },
  client: {
    type: 'http',
    scheme: 'basic',
    description: 'The organization’s id as name, an API key as password.',
  },
}

/** Also those that belong to no route, such as `not_found`. */
function everyProblem(): Record<string, JsonObject> {
  const codes = Object.keys(problems) as ProblemCode[]
  return Object.fromEntries(codes.map((code) => [code, exampleOf(problemJson, code)]))
}

function operationOf(route: RouteOptions, components: Components): Operation {
  const { docs, face = problemJson, isForm } = route.config ?? {}
  if (docs === undefined || docs === 'none') throw new Error(`${route.url} has no docs in its config`)
  const { body, params, querystring, response } = (route.schema ?? {}) as Readonly<Record<string, TSchema>>
  const { schemas } = components
  const parameters = [
    ...parametersOf('path', params, schemas),
    ...parametersOf('query', querystring, schemas),
  ]
  const media = isForm === true ? 'application/x-www-form-urlencoded' : 'application/json'
  const example = docs.example === undefined ? {} : { example: docs.example }
  return {
    operationId: operationIdOf(route),
    tags: [docs.tag],
    summary: docs.summary,
    ...(docs.description === undefined ? {} : { description: docs.description }),
    security: callers[docs.caller],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            required: docs.isBodyOptional !== true,
            content: { [media]: { schema: schemas.of(body), ...example } },
          },
        }),
    responses: {
      ...successes((response ?? {}) as Schemas, schemas),
      ...failures(face, [...docs.problems, ...commonProblems], components),
    },
  }
}

/** `POST /v1/tokens/:id/refresh` is `postV1TokensIdRefresh`. */
function operationIdOf({ method, url }: RouteOptions): string {
  const words = url.split(/[^A-Za-z0-9]+/).filter((word) => word !== '')
  return (
    String(method).toLowerCase() + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')
  )
}

function parametersOf(
  place: Parameter['in'],
  schema: TSchema | undefined,
  schemas: SchemaComponents,
): Parameter[] {
  const { properties = {}, required = [] } = (schema ?? {}) as {
    readonly properties?: Schemas
    readonly required?: readonly string[]
  }
  return Object.entries(properties).map(([name, field]) => {
    const { description, ...rest } = schemas.of(field)
    const about = typeof description === 'string' ? { description } : {}
    return { name, in: place, required: required.includes(name), ...about, schema: rest }
  })
}

function successes(response: Schemas, schemas: SchemaComponents): Record<string, Response> {
  return Object.fromEntries(
    Object.entries(response).map(([status, schema]) => {
      const { type, description = 'As asked.' } = schema as { readonly type?: string; description?: string }
      // A schema that is `null` says: without a body.
      const content =
        type === 'null' ? {} : { content: { 'application/json': { schema: schemas.of(schema) } } }
      return [status, { description, ...content }]
    }),
  )
}

function failures(
  face: Face,
  codes: readonly ProblemCode[],
  { schemas, examples }: Components,
): Record<string, Response> {
  const byStatus = Map.groupBy([...new Set(codes)].sort(), (code) => face.say({ code }).status)
  return Object.fromEntries(
    [...byStatus].map(([status, group]) => {
      const references = group.map((code) => {
        const name = face === problemJson ? code : `${code}.${face.name}`
        examples[name] = exampleOf(face, code)
        return [code, { $ref: `#/components/examples/${name}` }] as const
      })
      const description = group.map((code) => `\`${code}\`: ${problems[code].title}.`).join('\n')
      const body = { schema: schemas.of(face.schema), examples: Object.fromEntries(references) as JsonObject }
      const headers = headersOf(status)
      return [String(status), { description, ...headers, content: { [face.mediaType]: body } }]
    }),
  )
}

/** Who is told to come again is told when. */
function headersOf(status: number): { readonly headers?: JsonObject } {
  const text = (description: string): JsonObject => ({ description, schema: { type: 'string' } })
  const retry = { 'Retry-After': text('Seconds until it is worth another try.') }
  if (status === 503) return { headers: retry }
  if (status !== 429) return {}
  const policy = text(
    'The quotas that count, such as "key";q=600;w=60 (draft-ietf-httpapi-ratelimit-headers).',
  )
  const left = text('What is left of them, such as "key";r=0;t=12.')
  return { headers: { ...retry, 'RateLimit-Policy': policy, RateLimit: left } }
}

function exampleOf(face: Face, code: ProblemCode): JsonObject {
  return { summary: problems[code].title, value: face.say({ code }).body }
}

function sorted<T>(members: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(members).sort(([left], [right]) => (left < right ? -1 : 1)))
}
