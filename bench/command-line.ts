import { parseArgs } from 'node:util'
import { DomainError, type Problem } from '#core/errors.ts'
import { closestName } from '#core/resources/closest-name.ts'
import { describeGoal, type Scenario } from './scenario.ts'

/** What `npm run bench -- …` may say. */
export interface CommandLine {
  /** Those named, in the order of the registry; all when none is. */
  readonly scenarios: readonly Scenario[]
  readonly output: 'table' | 'json' | 'markdown'
  readonly seconds: number
  readonly rounds: number
  readonly profile?: string
  readonly help: boolean
}

const valued: Readonly<Record<string, readonly [value: string, description: string]>> = {
  seconds: ['N', 'Length of one measured window. Default: 4.'],
  rounds: ['N', 'How often ours and the peer take turns. Default: 3.'],
  profile: ['DIR', 'Writes CPU profiles of our broker there and prints where the time went; slows it.'],
}
const switches: Readonly<Record<string, string>> = {
  json: 'One line of JSON for each scenario instead of the table.',
  markdown: 'The table in Markdown.',
  help: 'This text.',
}

/** Reads the arguments, or throws `invalid-settings` with every problem. */
export function parseCommandLine(args: readonly string[], scenarios: readonly Scenario[]): CommandLine {
  const problems: Problem[] = []
  const { tokens } = parseArgs({
    args: [...args],
    options: {
      ...Object.fromEntries(Object.keys(valued).map((name) => [name, { type: 'string' as const }])),
      ...Object.fromEntries(Object.keys(switches).map((name) => [name, { type: 'boolean' as const }])),
    },
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
  const named = new Set<string>()
  const given = new Map<string, string>()
  for (const token of tokens) {
    if (token.kind === 'positional') named.add(token.value)
    if (token.kind !== 'option') continue
    const { name, rawName, value } = token
    if (name in switches) given.set(name, '')
    else if (!(name in valued))
      problems.push(unknown(rawName, [...Object.keys(valued), ...Object.keys(switches)]))
    else if (value === undefined || value.startsWith('--'))
      problems.push({ field: rawName, remedy: `give a value: ${rawName} ${valued[name]?.[0]}` })
    else given.set(name, value)
  }
  const names = scenarios.map(({ name }) => name)
  for (const name of named) if (!names.includes(name)) problems.push(unknown(name, names))
  const seconds = count('seconds', given.get('seconds') ?? '4', 600, problems)
  const rounds = count('rounds', given.get('rounds') ?? '3', 100, problems)
  if (given.has('json') && given.has('markdown'))
    problems.push({ field: '--json', remedy: 'choose it or --markdown' })
  if (problems.length > 0) {
    throw new DomainError('invalid-settings', 'the command line can not be used', { problems })
  }
  const profile = given.get('profile')
  return {
    scenarios: named.size === 0 ? scenarios : scenarios.filter(({ name }) => named.has(name)),
    output: given.has('json') ? 'json' : given.has('markdown') ? 'markdown' : 'table',
    seconds,
    rounds,
    ...(profile === undefined ? {} : { profile }),
    help: given.has('help'),
  }
}

export function helpText(scenarios: readonly Scenario[]): string {
  const options = [
    ...Object.entries(valued).map(([name, [value, description]]) => [`--${name} ${value}`, description]),
    ...Object.entries(switches).map(([name, description]) => [`--${name}`, description]),
  ]
  return [
    'Benchmarks of the real programs, side by side with what they are held against.',
    '',
    'npm run bench -- [names] [options]',
    '',
    ...options.map(([option, description]) => `  ${option?.padEnd(18)} ${description}`),
    '',
    'Names; all when none is given:',
    '',
    ...scenarios.map(({ name, summary }) => `  ${name.padEnd(18)} ${summary}`),
    '',
    'Goals, ours to the peer where it says ratio:',
    '',
    ...scenarios.map(
      ({ name, goal, against }) =>
        `  ${name.padEnd(18)} ${describeGoal(goal)}${against === '-' ? '' : `, against ${against}`}`,
    ),
    '',
    'docs/benchmarks.md says how it is measured. Progress goes to stderr, the result to stdout.',
    '',
  ].join('\n')
}

function unknown(text: string, names: readonly string[]): Problem {
  const dashes = /^-*/.exec(text)?.[0] ?? ''
  const closest = closestName(text.slice(dashes.length), names)
  const kind = dashes === '' ? 'scenario' : 'option'
  const hint = closest === undefined ? 'remove it' : `did you mean ${dashes}${closest}?`
  return { field: text, remedy: `is no ${kind}; ${hint} (--help lists all)` }
}

function count(name: string, text: string, most: number, problems: Problem[]): number {
  const value = /^\d+$/.test(text) ? Number(text) : 0
  if (value < 1 || value > most) {
    problems.push({ field: `--${name}`, value: text, remedy: `give a whole number from 1 to ${most}` })
  }
  return value
}
