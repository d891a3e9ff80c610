import type { FastifyInstance, HTTPMethods } from 'fastify'
import { ProblemError } from '../problems.ts'

const methods: readonly HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

/** Collects the methods of each path; `refuseOthers` then answers all others with 405 and `Allow` (RFC 9110 §15.5.6). */
export function collectMethods(app: FastifyInstance): { refuseOthers(): void } {
  const known = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }) => {
    const allowed = known.get(url) ?? new Set()
    known.set(url, allowed)
    for (const each of [method].flat()) allowed.add(each)
  })
  return {
    refuseOthers() {
      for (const [url, allowed] of known) {
        const allow = [...allowed].join(', ')
        const refuse = async (): Promise<never> => {
          throw new ProblemError('method_not_allowed', { headers: { allow } })
        }
        const others = methods.filter((each) => !allowed.has(String(each)))
        app.route({ method: others, url, onRequest: refuse, handler: refuse, config: { docs: 'none' } })
      }
    },
  }
}
