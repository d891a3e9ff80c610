import { readFileSync } from 'node:fs'
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

/**
 * For the metrics of one program, with those that every process has. What is served has to be in docs/metrics.md; names
 * and labels that are there stay what they are.
 */
export function programRegistry(program: string): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const info = new Gauge({
    registers: [registry],
    name: 'cloudsignal_build_info',
    help: 'Which program this is, and of which version; always 1',
    labelNames: ['program', 'version', 'node_version'],
  })
  info.set({ program, version, node_version: process.version }, 1)
  return registry
}
