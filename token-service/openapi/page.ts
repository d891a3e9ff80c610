import { createHash } from 'node:crypto'
import type { Content, JsonObject, OpenApiDocument, Operation, Parameter, Response } from './openapi-types.ts'

const style = `
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #0b62c4; }
@media (prefers-color-scheme: dark) { :root { --accent: #7db4ff; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem 1.25rem 4rem; max-width: 60rem; }
h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); }
h3 code { font-size: 1rem; } h3 { margin: 2.5rem 0 .25rem; }
a { color: var(--accent); } code, pre { font: .875rem/1.45 ui-monospace, monospace; }
pre { background: var(--soft); padding: .75rem; overflow: auto; border-radius: 6px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
td, th { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-top: 1px solid var(--line); }
td, li, p { overflow-wrap: anywhere; }
.method { color: var(--accent); } .soft { opacity: .75; } summary { cursor: pointer; }
`

/** A page that needs no script: everything is written down. */
export function renderPage(document: OpenApiDocument): { html: string; contentSecurityPolicy: string } {
  const hash = createHash('sha256').update(style).digest('base64')
  const { title, description } = document.info
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  )
  const sections = document.tags.map(({ name, description: about }) => {
    const own = operations.filter(({ operation }) => operation.tags.includes(name))
    if (own.length === 0) return ''
    return `<h2>${escape(name)}</h2><p>${escape(about)}</p>${own.map((one) => section(one)).join('')}`
  })
  return {
    contentSecurityPolicy: `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; frame-ancestors 'none'`,
    html: [
      '<!doctype html><html lang="en"><head><meta charset="utf-8">',
      '<meta name="viewport" content="width=device-width, initial-scale=1">',
      `<title>${escape(title)}</title><style>${style}</style></head><body>`,
      `<h1>${escape(title)}</h1><p>${escape(description)} For programs: <a href="openapi.json">openapi.json</a>.</p>`,
      `<ul>${operations.map(link).join('')}</ul>`,
      ...sections,
      `<h2>Schemas</h2>${Object.entries(document.components.schemas).map(schemaSection).join('')}`,
      '</body></html>',
    ].join('\n'),
  }
}

interface Place {
  readonly path: string
  readonly method: string
  readonly operation: Operation
}

function link({ path, method, operation }: Place): string {
  const to = `<a href="#${operation.operationId}">${escape(operation.summary)}</a>`
  return `<li>${to} <code class="soft">${method.toUpperCase()} ${escape(path)}</code></li>`
}

function section({ path, method, operation }: Place): string {
  const { operationId, summary, parameters = [], requestBody, responses } = operation
  const description = operation['description']
  return [
    `<h3 id="${operationId}">${escape(summary)}</h3>`,
    `<p><code><span class="method">${method.toUpperCase()}</span> ${escape(path)}</code></p>`,
    typeof description === 'string' ? `<p>${escape(description)}</p>` : '',
    parameters.length === 0 ? '' : table(parameters.map(parameterRow)),
    requestBody === undefined ? '' : body(requestBody.content),
    ...Object.entries(responses).map(([status, response]) => answer(status, response)),
  ].join('\n')
}

function body(content: Content): string {
  return Object.entries(content)
    .map(([media, { schema, example }]) => {
      const shown = example === undefined ? '' : `<pre>${json(example)}</pre>`
      return `<p>Body, <code>${escape(media)}</code></p>${fields(schema)}${shown}`
    })
    .join('')
}

function answer(status: string, { description, content = {} }: Response): string {
  if (status.startsWith('2')) {
    const parts = Object.values(content).map(({ schema }) => fields(schema))
    return `<p><strong>${status}</strong> ${escape(description)}</p>${parts.join('')}`
  }
  const lines = description.split('\n').map((line) => `<li>${marked(line)}</li>`)
  return `<details><summary><strong>${status}</strong></summary><ul>${lines.join('')}</ul></details>`
}

function schemaSection([name, schema]: [string, JsonObject]): string {
  const about = typeof schema['description'] === 'string' ? `<p>${escape(schema['description'])}</p>` : ''
  return `<h3 id="schema-${escape(name)}">${escape(name)}</h3>${about}${propertyTable(schema)}`
}

function fields(schema: JsonObject): string {
  const { $ref, oneOf } = schema
  if (typeof $ref === 'string') return `<p>${typeOf(schema)}</p>`
  if (Array.isArray(oneOf))
    return `<p>One of ${oneOf.map((each) => typeOf(each as JsonObject)).join(', ')}</p>`
  return propertyTable(schema)
}

function propertyTable(schema: JsonObject): string {
  const properties = (schema['properties'] ?? {}) as Readonly<Record<string, JsonObject>>
  const required = (schema['required'] ?? []) as readonly string[]
  const rows = Object.entries(properties).map(([name, property]) =>
    row(name, property, required.includes(name), property['description']),
  )
  return rows.length === 0 ? '' : table(rows)
}

const parameterRow = ({ name, in: place, required, description, schema }: Parameter): string =>
  row(name, schema, required, `${description ?? ''} (${place})`)

function row(name: string, schema: JsonObject, isRequired: boolean, description: unknown): string {
  const need = isRequired ? '' : ' <span class="soft">optional</span>'
  const about = typeof description === 'string' ? escape(description) : ''
  return `<tr><td><code>${escape(name)}</code>${need}</td><td>${typeOf(schema)}</td><td>${about}</td></tr>`
}

const table = (rows: readonly string[]): string => `<table><tbody>${rows.join('')}</tbody></table>`

/** A schema in a few words. */
function typeOf(schema: JsonObject): string {
  const { $ref, const: only, enum: choices, type, items, anyOf, oneOf, format } = schema
  if (typeof $ref === 'string') {
    const name = $ref.replace('#/components/schemas/', '')
    return `<a href="#schema-${escape(name)}">${escape(name)}</a>`
  }
  if (only !== undefined) return `<code>${json(only)}</code>`
  if (Array.isArray(choices)) return choices.map((each) => `<code>${json(each)}</code>`).join(' ')
  const alternatives = anyOf ?? oneOf
  if (Array.isArray(alternatives)) return alternatives.map((each) => typeOf(each as JsonObject)).join(' or ')
  if (type === 'array') return `list of ${typeOf((items ?? {}) as JsonObject)}`
  return escape([type ?? 'anything', format].filter((part) => part !== undefined).join(', '))
}

const json = (value: unknown): string => escape(JSON.stringify(value, undefined, 2))

/** `code` between backticks. */
const marked = (text: string): string => escape(text).replaceAll(/`([^`]*)`/g, '<code>$1</code>')

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

function escape(text: string): string {
  return text.replaceAll(/[&<>"]/g, (character) => entities[character] ?? character)
}
