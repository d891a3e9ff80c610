import fc from 'fast-check'
import type { JsonObject, OpenApiDocument, Operation } from '../../../token-service/openapi/openapi-types.ts'
import { inlined } from '../documented-answers.ts'
import { hostileBodies, hostileTexts, hostileValues } from './hostile-values.ts'
import { type KnownValues, valuesOf } from './schema-values.ts'

/** A request, with placeholders such as `<token>` for what there is only at the time it is sent. */
export interface FuzzRequest {
  /** Of the document; absent for what goes astray. */
  readonly operation?: string
  readonly method: string
  /** With its query; percent-encoded. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown
  readonly raw?: Buffer | undefined
}

const keys = ['<secret key>', '<publishable key>', '<poor key>', '<foreign key>', '<unknown key>'] as const

const meaningful: Readonly<Record<string, readonly unknown[]>> = {
  token: ['<token>', '<token>', '<old token>', '<forged token>'],
  subject_token: ['<token>', '<forged token>'],
  provider: ['oidc'],
  integration_id: ['oidc'],
  organization_id: ['org_k7xm4pqr2n5t', 'org_aaaabbbbcccc'],
  organization: ['org_k7xm4pqr2n5t'],
  client_id: ['org_k7xm4pqr2n5t', 'web-1'],
  client_secret: keys,
  secret_key: keys,
  id: ['<id>', '<username>', 'tmp_aaaaaaaaaaaaaaaaaaaa'],
  token_id: ['<username>', '<id>'],
  password: ['<password>', '<old password>', '<unknown password>'],
  current_token_password: ['<password>', '<old password>'],
  user_email: ['ada@example.com'],
  agent_id: ['planner-1', 'auditor'],
  principal: ['worker:billing', 'agent:planner-1'],
  user_id: ['ada'],
  grant_type: ['urn:ietf:params:oauth:grant-type:token-exchange'],
  cursor: ['0.tmp_a', '1700000000000-0.1'],
  ttl: [60, 900, 3600],
  connections: [1, 5],
  name: ['billing'],
  access_lists: [['members']],
  attributes: [{ team: 'blue' }, {}],
  permissions: [[{ actions: ['subscribe'], topics: ['users/{user_id}/#'] }], []],
  on_behalf_of: [{ token: '<token>' }],
  act: [{ sub: 'router' }],
  topic: ['users/ada/x'],
  credential: ['<id>', '<username>'],
  username: ['sensor_01', 'ada'],
  since: ['2026-11-25T08:00:00Z'],
  until: ['2026-11-25T08:00:00+01:00'],
}
const known: KnownValues = (field) => meaningful[field] ?? []

/** Requests to every operation of the document, most of them nearly right, and some to none. */
export function requestsTo(document: OpenApiDocument): fc.Arbitrary<FuzzRequest> {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) =>
      requestOf(path, method.toUpperCase(), operation, document),
    ),
  )
  return fc.oneof(
    { weight: 12, arbitrary: fc.oneof(...operations) },
    { weight: 1, arbitrary: strayRequests(Object.keys(document.paths)) },
  )
}

export const operationsOf = ({ paths }: OpenApiDocument): string[] =>
  Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )

interface Parameter {
  readonly name: string
  readonly in: string
  readonly schema: JsonObject
}

function requestOf(
  path: string,
  method: string,
  operation: Operation,
  document: OpenApiDocument,
): fc.Arbitrary<FuzzRequest> {
  const { parameters = [], requestBody } = inlined(operation, document) as {
    readonly parameters?: readonly Parameter[]
    readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: JsonObject }>> }
  }
  const [type, content] = Object.entries(requestBody?.content ?? {})[0] ?? []
  return fc
    .record({
      inPath: valuesIn(parameters, 'path'),
      inQuery: valuesIn(parameters, 'query'),
      body: content === undefined ? fc.constant(undefined) : nearly(valuesOf(content.schema, known)),
      raw: fc.option(hostileBodies, { nil: undefined, freq: 8 }),
      type: fc.oneof(
        { weight: 8, arbitrary: fc.constant(type) },
        { weight: 1, arbitrary: fc.constantFrom('application/json', 'text/plain', 'x', '', undefined) },
      ),
      headers: headers(),
      extra: fc.option(queryTail, { nil: '', freq: 10 }),
    })
    .map(({ inPath, inQuery, body, raw, type, headers, extra }) => ({
      operation: `${method} ${path}`,
      method,
      path: `${path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeText(inPath[name]))}${queryOf(inQuery, extra)}`,
      headers: { ...headers, ...(type === undefined ? {} : { 'content-type': type }) },
      body,
      ...(content === undefined ? {} : { raw }),
    }))
}

/** Together they stay below the 16 KiB that Node gives a head: beyond, it hangs up. */
const shortTexts = hostileTexts.filter(({ length }) => length < 200)

const queryTail = fc.constantFrom(
  'limit=1&limit=2',
  'kind[]=agent',
  '__proto__=x',
  'a',
  '%',
  '%ff=1',
  '&&&==',
)

function valuesIn(
  parameters: readonly Parameter[],
  place: string,
): fc.Arbitrary<Readonly<Record<string, unknown>>> {
  const mine = parameters.filter((each) => each.in === place)
  const members = mine.map(({ name, schema }) => [
    name,
    fc.oneof(
      { weight: 6, arbitrary: valuesOf(schema, known, name) },
      { weight: 1, arbitrary: fc.constantFrom(...shortTexts) },
    ),
  ])
  const requiredKeys = place === 'path' ? mine.map(({ name }) => name) : []
  return fc.record(Object.fromEntries(members) as Record<string, fc.Arbitrary<unknown>>, { requiredKeys })
}

/** A good value; often with one member that is missing, wrong or more than there may be. */
function nearly(values: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  const wrong = fc
    .tuple(
      values,
      fc.nat(),
      fc.oneof(fc.constant(undefined), hostileValues),
      fc.constantFrom(...hostileTexts),
    )
    .map(([value, at, hostile, name]) => {
      if (typeof value !== 'object' || value === null) return hostile
      const names = [...Object.keys(value), name]
      return { ...value, [names[at % names.length] ?? name]: hostile }
    })
  return fc.oneof(
    { weight: 3, arbitrary: values },
    { weight: 2, arbitrary: wrong },
    { weight: 1, arbitrary: hostileValues },
  )
}

function headers(): fc.Arbitrary<Readonly<Record<string, string>>> {
  const authorization = fc.oneof(
    { weight: 6, arbitrary: fc.constant(`Bearer ${keys[0]}`) },
    { weight: 4, arbitrary: fc.constantFrom(...keys.map((key) => `Bearer ${key}`), undefined) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        '',
        'Bearer',
        'Bearer  ',
        'Basic b3JnOmtleQ==',
        'Basic ÿ',
        `bearer ${keys[0]}`,
        `Bearer ${keys[0]}, Bearer x`,
        `Bearer ${'k'.repeat(2_000)}`,
      ),
    },
  )
  const others = fc.record(
    {
      origin: fc.constantFrom('https://acme.example', 'https://evil.example', 'null', '*', 'http://['),
      'content-encoding': fc.constantFrom('gzip', 'br', 'identity', 'x'),
      accept: fc.constantFrom('*/*', 'text/html', 'application/xml;q=1', ''),
      'x-http-method-override': fc.constant('DELETE'),
      'x-request-id': fc.constant('ÿ'.repeat(100)),
      'transfer-encoding': fc.constant('chunked'),
      cookie: fc.constant('a='.repeat(500)),
    },
    { requiredKeys: [] },
  )
  const some = fc.oneof({ weight: 3, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: others })
  const from = fc.ipV4().map((address) => ({ 'x-forwarded-for': address }))
  return fc.tuple(authorization, some, from).map(([key, more, address]) => ({
    ...address,
    ...more,
    ...(key === undefined ? {} : { authorization: key }),
  }))
}

/** Methods that a path does not have, and paths that are none. */
function strayRequests(paths: readonly string[]): fc.Arbitrary<FuzzRequest> {
  const path = fc.oneof(
    fc.constantFrom(...paths),
    fc.constantFrom(
      '/',
      '//',
      '/v1',
      '/v1/../v1/tokens',
      '/v1/tokens/%',
      '/%00',
      '/%ff',
      '/metrics',
      '/docs/x',
      '/v2/',
      '/v1/tokens//refresh',
    ),
    fc.webPath(),
  )
  return fc.record({
    method: fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND'),
    path: path.map((each) => (each === '' ? '/' : each.replaceAll(/[{}]/g, ''))),
    headers: headers(),
    body: fc.constant(undefined),
  })
}

function queryOf(values: Readonly<Record<string, unknown>>, extra: string): string {
  const parts = Object.entries(values).map(([name, value]) => `${name}=${encodeText(value)}`)
  const all = extra === '' ? parts : [...parts, extra]
  return all.length === 0 ? '' : `?${all.join('&')}`
}

/** A placeholder stays readable; a lone surrogate has no encoding. */
function encodeText(value: unknown): string {
  const text = String(value)
  return /^<[a-z ]+>$/.test(text) ? text : encodeURIComponent(text.toWellFormed())
}
