import { expect } from 'vitest'
import { Check } from 'typebox/value'
import type { JsonObject, OpenApiDocument, Operation } from '../../token-service/openapi/openapi-types.ts'
import type { App } from '../../token-service/app.ts'
import type { Answer } from './app-under-test.ts'

const documents = new WeakMap<App, Promise<OpenApiDocument>>()

/**
 * That an answer is one that the OpenAPI document knows: its status, its media type, the schema of its body, and the
 * code of a problem. Every answer of every test goes through here.
 */
export async function expectDocumented(app: App, method: string, url: string, answer: Answer): Promise<void> {
  expectDocumentedBy(await documentOf(app), method, url, answer)
}

/** False where the document has no such operation: that is judged by whoever asks. */
export function expectDocumentedBy(
  document: OpenApiDocument,
  method: string,
  url: string,
  answer: Answer,
): boolean {
  const operation = operationAt(document, method, url)
  // What has no route is answered by the service as such.
  if (operation === undefined || answer.body['code'] === 'not_found') return false
  const response = operation.responses[answer.status]
  expect(response, `${method} ${url} answered ${answer.status}: ${answer.text}`).toBeDefined()
  if (response?.content === undefined) {
    expect(answer.text).toBe('')
    return true
  }
  const type = String(answer.headers['content-type']).split(';')[0] ?? ''
  const content = response.content[type]
  expect(content, `${method} ${url} answered ${type}`).toBeDefined()
  const schema = inlined(content?.schema, document) as JsonObject
  expect(Check(schema, answer.body), `${method} ${url}: ${answer.text}`).toBe(true)
  const { code } = answer.body
  if (content?.examples !== undefined && typeof code === 'string') {
    expect(Object.keys(content.examples), `${method} ${url}`).toContain(code)
  }
  return true
}

function documentOf(app: App): Promise<OpenApiDocument> {
  const known = documents.get(app) ?? app.inject({ url: '/openapi.json' }).then((found) => found.json())
  documents.set(app, known)
  return known
}

function operationAt(document: OpenApiDocument, method: string, url: string): Operation | undefined {
  const path = url.split('?')[0] ?? ''
  const pattern = (template: string): RegExp => new RegExp(`^${template.replaceAll(/\{\w+\}/g, '[^/]*')}$`)
  const template = Object.keys(document.paths).find((each) => pattern(each).test(path))
  return template === undefined ? undefined : document.paths[template]?.[method.toLowerCase()]
}

/** The schema with what it refers to written into it. */
export function inlined(value: unknown, document: OpenApiDocument): unknown {
  if (Array.isArray(value)) return value.map((each) => inlined(each, document))
  if (typeof value !== 'object' || value === null) return value
  const { $ref } = value as { readonly $ref?: unknown }
  if (typeof $ref === 'string') {
    return inlined(document.components.schemas[$ref.replace('#/components/schemas/', '')], document)
  }
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, inlined(member, document)]))
}
