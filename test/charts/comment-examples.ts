import { readFileSync } from 'node:fs'
import { parse } from 'yaml'

/** A value that the comment of another gives as an example: "such as [10.0.0.0/16]". */
export interface CommentExample {
  readonly path: string
  readonly value: unknown
}

/** As the README has them: the comment of a value without one is that of its like. */
export const commentExamples: readonly CommentExample[] = readFileSync('charts/cloudsignal/README.md', 'utf8')
  .split('\n')
  .flatMap((line) => {
    const [, path = '', comment = ''] = /^\| `([\w.]+)` \| (.*) \| `.*` \|$/.exec(line) ?? []
    const [, rest] = /such as (?=[[{])(.*)/i.exec(comment) ?? []
    return rest === undefined ? [] : [{ path, value: parse(balanced(rest)) as unknown }]
  })

/** What the examples need beside them, so that something is made of each. */
const needed = {
  redis: { mode: 'standalone' },
  networkPolicy: { enabled: true },
  broker: {
    service: { type: 'LoadBalancer', externalTrafficPolicy: 'Local' },
    ingress: { enabled: true, host: 'ws.example.com', tlsSecretName: 'ws-tls' },
  },
  tokenService: {
    usersApi: { enabled: true },
    ingress: { enabled: true, host: 'tokens.example.com', tlsSecretName: 'tokens-tls' },
  },
  monitoring: { dashboards: { enabled: true } },
}

/** The same where the kinds of other projects are known too. */
export const neededWithForeign = {
  ...needed,
  broker: { ...needed.broker, tls: { certManager: { enabled: true, issuerRef: { name: 'ca' } } } },
  monitoring: { dashboards: { enabled: true }, monitors: { enabled: true }, rules: { enabled: true } },
}

/** Values with these examples; `namespaces` in place of those that are examples. */
export function withExamples(
  examples: readonly CommentExample[],
  namespaces: readonly string[],
  beside: object = needed,
): object {
  const values = structuredClone(beside) as Record<string, unknown>
  for (const { path, value } of examples) {
    const names = path.split('.')
    const last = names.pop() ?? ''
    let place = values
    for (const name of names) place = (place[name] ??= {}) as Record<string, unknown>
    place[last] = path.endsWith('.namespaces') ? namespaces : value
  }
  return values
}

/** Up to where the first bracket is closed. */
function balanced(text: string): string {
  let depth = 0
  for (const [index, letter] of [...text].entries()) {
    if ('[{'.includes(letter)) depth += 1
    if (']}'.includes(letter)) depth -= 1
    if (depth === 0) return text.slice(0, index + 1)
  }
  throw new Error(`nothing closes ${text}`)
}
