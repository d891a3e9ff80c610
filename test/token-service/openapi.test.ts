import { readFile } from 'node:fs/promises'
import { Validator } from '@seriousme/openapi-schema-validator'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Check } from 'typebox/value'
import { OpenApi } from '../../token-service/openapi/document.ts'
import type { OpenApiDocument, Operation } from '../../token-service/openapi/openapi-types.ts'
import { problems } from '../../token-service/problems.ts'
import { type AppUnderTest, startApp } from './app-under-test.ts'
import { inlined } from './documented-answers.ts'

let service: AppUnderTest
let document: OpenApiDocument
let operations: readonly (readonly [string, Operation])[]
beforeAll(async () => {
  service = await startApp()
  document = (await service.app.inject({ url: '/openapi.json' })).json()
  operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => [`${method} ${path}`, operation] as const),
  )
})
afterAll(() => service.close())

describe('the OpenAPI document', () => {
  test('is valid, by the schema of OpenAPI 3.1', async () => {
    const validator = new Validator()
    const { valid, errors } = await validator.validate(structuredClone(document))
    expect(errors).toBeUndefined()
    expect(valid).toBe(true)
    expect(validator.version).toBe('3.1')
    const broken = structuredClone(document) as unknown as { paths: Record<string, unknown> }
    broken.paths['/v1/tokens'] = { post: { responses: 7 } }
    expect((await new Validator().validate(broken)).valid).toBe(false)
  })

  test('is the committed copy, which npm run generate writes', async () => {
    const committed = await readFile(new URL('../../docs/openapi.json', import.meta.url), 'utf8')
    expect(JSON.parse(committed)).toEqual(document)
  })

  test('has every route: one without docs can not be described', async () => {
    expect(operations.length).toBeGreaterThan(10)
    const openApi = new OpenApi()
    openApi.add({ method: 'GET', url: '/new', handler: () => {} })
    expect(() => openApi.document()).toThrow('/new has no docs')
  })

  test('has an example of every problem there is, and each says its code', () => {
    const examples = document.components['examples'] as Record<string, { value: { code: string } }>
    for (const code of Object.keys(problems)) expect(examples[code]?.value.code).toBe(code)
  })

  test('names every problem at some route, but for those of no route', () => {
    const named = new Set(
      operations.flatMap(([, { responses }]) => Object.values(responses).flatMap(codesOf)),
    )
    const missing = Object.keys(problems).filter((code) => !named.has(code))
    expect(missing.toSorted()).toEqual(['method_not_allowed', 'not_found'])
  })

  test('has examples that keep its own schemas', () => {
    const examples = document.components['examples'] as Record<string, { value: unknown }>
    for (const [place, { responses, requestBody }] of operations) {
      for (const { schema, example } of Object.values(requestBody?.content ?? {})) {
        expect(Check(inlined(schema, document) as object, example), place).toBe(true)
      }
      for (const content of Object.values(responses).flatMap(({ content = {} }) => Object.values(content))) {
        for (const reference of Object.values(content.examples ?? {})) {
          const name = (reference as { $ref: string }).$ref.replace('#/components/examples/', '')
          expect(Check(inlined(content.schema, document) as object, examples[name]?.value), name).toBe(true)
        }
      }
    }
  })

  test('tells the bodies of POST /v1/tokens apart by their kind', () => {
    const body = document.paths['/v1/tokens']?.['post']?.requestBody?.content['application/json']?.schema
    expect(body).toMatchObject({
      oneOf: [{}, {}, {}],
      discriminator: {
        propertyName: 'kind',
        mapping: { agent: '#/components/schemas/Agent', worker: '#/components/schemas/Worker' },
      },
    })
  })
})

describe('the page of the document', () => {
  test('shows every operation and every problem, without a script', async () => {
    const { body, headers, statusCode } = await service.app.inject({ url: '/docs' })
    expect(statusCode).toBe(200)
    expect(headers['content-type']).toBe('text/html; charset=utf-8')
    expect(headers['content-security-policy']).toMatch(/^default-src 'none'; style-src 'sha256-/)
    for (const [, { operationId, summary }] of operations) {
      expect(body).toContain(`id="${operationId}"`)
      expect(body).toContain(`>${summary}</h3>`)
    }
    expect(body).toContain('<code>token_expired</code>')
    expect(body).not.toContain('<script')
    const ids = [...body.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id)
    expect(new Set(ids).size).toBe(ids.length)
    for (const [, target] of body.matchAll(/href="#([^"]+)"/g)) expect(ids).toContain(target)
  })
})

const codesOf = ({ content = {} }: Operation['responses'][string]): string[] =>
  Object.values(content).flatMap(({ examples = {} }) => Object.keys(examples))
