import { DomainError, type Problem } from '#core/errors.ts'
import { closestHint, describeFlags, type FlagTable, readFlags } from '#core/process/flags.ts'
import { describeGoal, type Scenario } from './scenario.ts'

/** What `npm run bench -- …` may say. */
export interface CommandLine {
  /** Those named, in the order of the registry; all when none is. */
  readonly scenarios: readonly Scenario[]
  readonly output: 'table' | 'json' | 'markdown'
  readonly seconds: number
  readonly rounds: number
  readonly users: number
  readonly profile?: string
  readonly help: boolean
}

const valued: FlagTable['valued'] = {
  seconds: ['N', 'Length of one measured window. Default: 4.'],
  rounds: ['N', 'How often ours and the peer take turns. Default: 3.'],
  users: ['N', 'How many users the scenarios of the operator have. Default: 10000.'],
  profile: ['DIR', 'Writes CPU profiles of our program there and prints where the time went; slows it.'],
}
const switches: FlagTable['switches'] = {
  json: 'One line of JSON for each scenario instead of the table.',
  markdown: 'The table in Markdown.',
  help: 'This text.',
}

/** Reads the arguments, or throws `invalid-settings` with every problem. */
export function parseCommandLine(args: readonly string[], scenarios: readonly Scenario[]): CommandLine {
  const given = readFlags(args, { valued, switches })
  const problems: Problem[] = [...given.problems]
  const names = scenarios.map(({ name }) => name)
  for (const name of new Set(given.words)) {
    if (names.includes(name)) continue
    problems.push({ field: name, remedy: `is no scenario; ${closestHint(name, names)}` })
  }
  const valueOf = (name: string): string | undefined => given.values.get(name)?.at(-1)
  const seconds = count('seconds', valueOf('seconds') ?? '4', 600, problems)
  const rounds = count('rounds', valueOf('rounds') ?? '3', 100, problems)
  const users = count('users', valueOf('users') ?? '10000', 100_000, problems)
  if (given.switches.has('json') && given.switches.has('markdown'))
    problems.push({ field: '--json', remedy: 'choose it or --markdown' })
  if (problems.length > 0) {
    throw new DomainError('invalid-settings', 'the command line can not be used', { problems })
  }
  const profile = valueOf('profile')
  return {
    scenarios:
      given.words.length === 0 ? scenarios : scenarios.filter(({ name }) => given.words.includes(name)),
    output: given.switches.has('json') ? 'json' : given.switches.has('markdown') ? 'markdown' : 'table',
    seconds,
    rounds,
    users,
    ...(profile === undefined ? {} : { profile }),
    help: given.switches.has('help'),
  }
}

export function helpText(scenarios: readonly Scenario[]): string {
  return [
    'Benchmarks of the real programs, side by side with what they are held against.',
    '',
    'npm run bench -- [names] [options]',
    '',
    ...describeFlags({ valued, switches }, 18),
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

function count(name: string, text: string, most: number, problems: Problem[]): number {
  const value = /^\d+$/.test(text) ? Number(text) : 0
  if (value < 1 || value > most) {
    problems.push({ field: `--${name}`, value: text, remedy: `give a whole number from 1 to ${most}` })
  }
  return value
}
