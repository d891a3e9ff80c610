import { Type } from 'typebox'
import type { App } from '../app.ts'
import type { OpenApi } from '../openapi/document.ts'
import type { OpenApiDocument } from '../openapi/openapi-types.ts'
import { renderPage } from '../openapi/page.ts'

/** The OpenAPI document for programs, and the same as a page for people. */
export function documentationRoutes(app: App, openApi: OpenApi): void {
  let document: OpenApiDocument | undefined
  let page: ReturnType<typeof renderPage> | undefined
  app.get(
    '/openapi.json',
    {
      schema: { response: { 200: Type.Object({}, { description: 'This document.' }) } },
      config: {
        docs: { tag: 'Documentation', summary: 'The OpenAPI document', caller: 'body', problems: [] },
      },
    },
    async () => (document ??= openApi.document()),
  )
  app.get('/docs', { config: { docs: 'none' } }, async (_request, reply) => {
    page ??= renderPage(openApi.document())
    return reply
      .type('text/html; charset=utf-8')
      .header('content-security-policy', page.contentSecurityPolicy)
      .header('x-content-type-options', 'nosniff')
      .header('referrer-policy', 'no-referrer')
      .send(page.html)
  })
}
