/**
 * `npm run faults`: what goes wrong, under traffic of QoS 1 to sessions that are kept, and what that cost: a line for each.
 * It fails when something that was acknowledged is lost, or a subscriber got nothing for too long.
 */
import { parseArgs } from 'node:util'
import { provide, type Requirement } from '../test/fixtures/debian-packages.ts'
import type { Fault, FaultOptions, Outcome } from './fault.ts'
import { faults } from './index.ts'
import { startStage } from './stage.ts'
import { startTraffic } from './traffic.ts'

/** Results go to stdout, everything else here. */
const say = (line: string): void => console.error(line)

// Whatever ends this process, its `exit` ends those that it has started.
process.once('SIGINT', () => process.exit(130))
process.once('SIGTERM', () => process.exit(143))

const redis: Requirement = {
  program: 'redis-server',
  package: 'redis-server',
  why: 'the broker runs on it',
  leastMajor: 7,
}
const faketime: Requirement = { program: 'faketime', package: 'faketime', why: 'clocks are skewed by it' }

const { chosen, json, options } = readCommandLine()
const wanted = chosen.some(({ needs }) => needs === 'faketime') ? [redis, faketime] : [redis]
const missing = await provide(wanted, (line) => say(`prerequisites: ${line}`))
if (missing.length > 0) {
  for (const [, problem] of missing) say(problem)
  process.exit(1)
}
let hasFailed = false
if (!json) console.log(row('fault', 'acked', 'lost', 'duplicates', 'longest gap', ''))
for (const fault of chosen) {
  say(`${fault.name}: ${fault.summary}`)
  try {
    const outcome = await runFault(fault)
    const problems = problemsOf(fault, outcome)
    hasFailed ||= problems.length > 0
    const { name, acked, lost, duplicates, longest_gap_ms: gap } = outcome
    if (json) console.log(JSON.stringify(outcome))
    else console.log(row(name, acked, lost, duplicates, `${gap} ms`, problems.join(', ')))
    for (const problem of problems) say(`  ${problem}`)
  } catch (error) {
    hasFailed = true
    const message = error instanceof Error ? error.message : String(error)
    if (json) console.log(JSON.stringify({ name: fault.name, error: message }))
    else console.log(row(fault.name, '-', '-', '-', '-', message))
  }
}
process.exit(hasFailed ? 1 : 0)

async function runFault(fault: Fault): Promise<Outcome> {
  const stage = await (fault.stage ?? startStage)()
  try {
    const traffic = await startTraffic(stage)
    const awayMs = (await fault.run(stage, traffic, options)) ?? 0
    const outcome = await traffic.end(fault.name)
    return { ...outcome, longest_gap_ms: Math.max(outcome.longest_gap_ms, Math.round(awayMs)) }
  } finally {
    await stage.stop()
  }
}

function problemsOf(fault: Fault, outcome: Outcome): string[] {
  const most = fault.mostGapMs(options)
  return [
    ...(outcome.lost > 0 ? [`${outcome.lost} LOST`] : []),
    ...(outcome.longest_gap_ms > most ? [`longer than ${most} ms`] : []),
  ]
}

function row(name: string, ...cells: readonly (string | number)[]): string {
  const [acked = '', lost = '', duplicates = '', gap = '', note = ''] = cells.map(String)
  const numbers = [acked.padStart(9), lost.padStart(6), duplicates.padStart(11), gap.padStart(12)].join('')
  return `${name.padEnd(20)}${numbers}  ${note}`.trimEnd()
}

function readCommandLine(): { chosen: readonly Fault[]; json: boolean; options: FaultOptions } {
  const { values, positionals } = parse()
  if (values.help) {
    console.log(helpText())
    process.exit(0)
  }
  const unknown = positionals.filter((name) => !faults.some((fault) => fault.name === name))
  const [times, clients] = [Number(values.times), Number(values.clients)]
  const isCount = (count: number, most: number): boolean =>
    Number.isInteger(count) && count >= 1 && count <= most
  const problems = [
    ...unknown.map((name) => `${name} is no fault: ${faults.map((fault) => fault.name).join(', ')}`),
    ...(isCount(times, 1_000) ? [] : ['--times: give a whole number from 1 to 1000']),
    ...(isCount(clients, 10_000) ? [] : ['--clients: give a whole number from 1 to 10000']),
  ]
  if (problems.length > 0) {
    for (const problem of problems) say(problem)
    process.exit(2)
  }
  const chosen = positionals.length === 0 ? faults : faults.filter(({ name }) => positionals.includes(name))
  return { chosen, json: values.json, options: { times, clients } }
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
        times: { type: 'string', default: '5' },
        clients: { type: 'string', default: '1000' },
      },
    })
  } catch (error) {
    say(error instanceof Error ? error.message : String(error))
    return process.exit(2)
  }
}

function helpText(): string {
  return [
    'What goes wrong, under traffic, and what that costs.',
    '',
    'npm run faults -- [names] [options]',
    '',
    '  --json        One line of JSON for each instead of the table.',
    '  --times N     How often a replica, or Redis, is killed. Default: 5.',
    '  --clients N   How many clients the herd has. Default: 1000.',
    '',
    'Names; all when none is given:',
    '',
    ...faults.map(({ name, summary }) => `  ${name.padEnd(20)} ${summary}`),
  ].join('\n')
}
