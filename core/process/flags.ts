import { parseArgs } from 'node:util'
import type { Problem } from '#core/errors.ts'
import { closestName } from '#core/resources/closest-name.ts'

/** What a command line may say, for reading and for its help. */
export interface FlagTable {
  /** Options with a value: what stands for it in the help, and what the option is for. */
  readonly valued: Readonly<Record<string, readonly [value: string, description: string]>>
  readonly switches: Readonly<Record<string, string>>
}

export interface GivenFlags {
  /** Values by option, in the order of the command line. */
  readonly values: ReadonlyMap<string, readonly string[]>
  readonly switches: ReadonlySet<string>
  /** What belongs to no option. */
  readonly words: readonly string[]
  readonly problems: readonly Problem[]
}

/**
 * Reads a command line, with everything that is wrong with it; `-h` is `--help`. `wordProblem` judges what belongs
 * to no option.
 */
export function readFlags(
  args: readonly string[],
  table: FlagTable,
  wordProblem: (text: string) => Problem | undefined = () => undefined,
): GivenFlags {
  const { valued, switches } = table
  const values = new Map<string, readonly string[]>()
  const on = new Set<string>()
  const words: string[] = []
  const problems: Problem[] = []
  for (const token of tokensOf(args, table)) {
    if (token.kind === 'positional') {
      const problem = wordProblem(token.value)
      if (problem === undefined) words.push(token.value)
      else problems.push(problem)
    }
    if (token.kind !== 'option') continue
    const { rawName, value } = token
    const name = token.name === 'h' ? 'help' : token.name
    if (Object.hasOwn(switches, name)) on.add(name)
    else if (!Object.hasOwn(valued, name)) problems.push(unknownFlag(rawName, table))
    else if (value === undefined || value.startsWith('--')) {
      problems.push({ field: rawName, remedy: `give a value: ${rawName} ${valued[name]?.[0]}` })
    } else values.set(name, [...(values.get(name) ?? []), value])
  }
  return { values, switches: on, words, problems }
}

/** The table as help text, one option a line. */
export function describeFlags({ valued, switches }: FlagTable, width = 22): string[] {
  const options = [
    ...Object.entries(valued).map(([name, [value, description]]) => [`${name} ${value}`, description]),
    ...Object.entries(switches),
  ]
  return options.map(([option, description]) => `  --${option?.padEnd(width - 2)} ${description}`)
}

/** What was probably meant by a name that is none of these. */
export function closestHint(name: string, names: readonly string[], dashes = ''): string {
  const closest = closestName(name, names)
  return `${closest === undefined ? 'remove it' : `did you mean ${dashes}${closest}?`} (--help lists all)`
}

function unknownFlag(rawName: string, { valued, switches }: FlagTable): Problem {
  const known = [...Object.keys(valued), ...Object.keys(switches)]
  return { field: rawName, remedy: `is no option; ${closestHint(rawName.replace(/^-+/, ''), known, '--')}` }
}

function tokensOf(args: readonly string[], { valued, switches }: FlagTable) {
  const strings = Object.keys(valued).map((name) => [name, { type: 'string' as const }])
  const booleans = Object.keys(switches).map((name) => [name, { type: 'boolean' as const }])
  return parseArgs({
    args: [...args],
    options: Object.fromEntries([...strings, ...booleans]),
    strict: false,
    allowPositionals: true,
    tokens: true,
  }).tokens
}
