/** `npm run check`: every step runs, also after one has failed; the last line counts them. */
import { spawn } from 'node:child_process'

const steps: readonly (readonly [name: string, command: string, ...parameters: readonly string[]])[] = [
  ['types', 'tsc', '--noEmit'],
  ['lint', 'oxlint', '--deny-warnings'],
  ['format', 'oxfmt', '--check', '.'],
  ['dead code', 'knip', '--no-progress'],
  ['generated CRDs', 'node', 'scripts/generate-crds.ts', '--check'],
  ["the chart's dashboards", 'node', 'scripts/generate-dashboards.ts', '--check'],
  ["the chart's CRDs", 'node', 'scripts/copy-crds.ts', '--check'],
  ["the chart's descriptions", 'node', 'scripts/document-chart.ts', '--check'],
  ['the page of settings', 'node', 'scripts/document-settings.ts', '--check'],
  ['OpenAPI document', 'node', 'scripts/generate-openapi.ts', '--check'],
]

interface Outcome {
  readonly passed: boolean
  readonly output: string
}

const failures: string[] = []
for (const [name, command, ...parameters] of steps) {
  const began = performance.now()
  const { passed, output } = await outcomeOf(command, parameters)
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  console.log(`${passed ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)`)
  if (passed) continue
  failures.push(name)
  console.log(`${['$', command, ...parameters].join(' ')}\n${output.trim()}\n`)
}
if (failures.length > 0) console.log(`failed: ${failures.join(', ')}`)
console.log(`${steps.length - failures.length} passed, ${failures.length} failed`)
process.exitCode = failures.length === 0 ? 0 : 1

/** npm has put node_modules/.bin first in the PATH. */
function outcomeOf(command: string, parameters: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    let output = ''
    const child = spawn(command, parameters, { stdio: ['ignore', 'pipe', 'pipe'] })
    const add = (chunk: Buffer): void => {
      output += chunk.toString()
    }
    child.stdout.on('data', add)
    child.stderr.on('data', add)
    child.once('error', (error) =>
      resolve({ passed: false, output: `${error.message}; run it by npm run check` }),
    )
    child.once('close', (code) => resolve({ passed: code === 0, output }))
  })
}
