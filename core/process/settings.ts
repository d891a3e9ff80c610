import { DomainError, type Problem } from '#core/errors.ts'

/** One setting of a program: where it comes from and how its text is read. */
export interface Setting<T> {
  /** Name of the environment variable. */
  readonly name: string
  readonly description: string
  /** The value, or what would be right, as an instruction. */
  readonly parse: (text: string) => T | Remedy
  /** Used when the variable is absent or empty; without it the setting must be given. */
  readonly default?: T
  /** The value stays out of error messages and of `--help`. */
  readonly isSecret?: boolean
}

export class Remedy {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

type SettingTable = Readonly<Record<string, Setting<unknown>>>
export type SettingsOf<Table extends SettingTable> = {
  readonly [Key in keyof Table]: Table[Key] extends Setting<infer T> ? T : never
}

const ownPrefix = 'CLOUDSIGNAL_'

/**
 * Reads all settings of a program, or throws `invalid-settings` with every problem at once: values that can
 * not be read, values that are missing, and variables with our prefix that nobody knows. Variables under
 * `otherPrefixes` belong to the other programs, which may share an environment file.
 */
export function readSettings<Table extends SettingTable>(
  table: Table,
  environment: Readonly<Record<string, string | undefined>>,
  otherPrefixes: readonly string[] = [],
): SettingsOf<Table> {
  const problems: Problem[] = []
  const values: Record<string, unknown> = {}
  for (const [key, setting] of Object.entries(table)) {
    const text = environment[setting.name]
    const value = read(setting, text)
    if (value instanceof Remedy) problems.push(problemOf(setting, text, value))
    else values[key] = value
  }
  const known = new Set(Object.values(table).map(({ name }) => name))
  for (const name of Object.keys(environment)) {
    if (!name.startsWith(ownPrefix) || known.has(name)) continue
    if (otherPrefixes.some((prefix) => name.startsWith(prefix))) continue
    problems.push({ field: name, remedy: `is no setting; ${closest(name, known)}` })
  }
  if (problems.length > 0) {
    throw new DomainError('invalid-settings', 'some settings can not be used', { problems })
  }
  return values as SettingsOf<Table>
}

/** The table as help text, one setting a paragraph. */
export function describeSettings(table: SettingTable): string {
  return Object.values(table)
    .map(({ name, description, default: value, isSecret }) => {
      const given = value === undefined || isSecret === true ? '' : ` Default: ${String(value) || '(empty)'}.`
      return `  ${name}\n      ${description}${value === undefined ? ' Required.' : given}`
    })
    .join('\n')
}

function read(setting: Setting<unknown>, text: string | undefined): unknown {
  if (text !== undefined && text !== '') return setting.parse(text)
  return 'default' in setting ? setting.default : new Remedy(`must be set: ${setting.description}`)
}

function problemOf({ name, isSecret }: Setting<unknown>, text: string | undefined, remedy: Remedy): Problem {
  const value = text === undefined || text === '' || isSecret === true ? {} : { value: text }
  return { field: name, ...value, remedy: remedy.text }
}

function closest(name: string, known: ReadonlySet<string>): string {
  const shared = (other: string): number => {
    let length = 0
    while (length < name.length && name[length] === other[length]) length += 1
    return length
  }
  const [best] = [...known].sort((left, right) => shared(right) - shared(left) || left.length - right.length)
  return best === undefined || shared(best) <= ownPrefix.length
    ? 'remove it (--help lists all)'
    : `did you mean ${best}? (--help lists all)`
}

/** Readers of texts, for tables of settings. */
export const port = (text: string): number | Remedy =>
  /^\d{1,5}$/.test(text) && Number(text) <= 65_535
    ? Number(text)
    : new Remedy('give a port number between 0 and 65535')

export const wholeNumber =
  (least: number, most: number) =>
  (text: string): number | Remedy =>
    /^\d{1,15}$/.test(text) && Number(text) >= least && Number(text) <= most
      ? Number(text)
      : new Remedy(`give a whole number from ${least} to ${most}`)

export const oneOf =
  <const T extends string>(choices: readonly T[]) =>
  (text: string): T | Remedy =>
    choices.find((choice) => choice === text) ?? new Remedy(`give one of ${choices.join(', ')}`)

export const flag = (text: string): boolean | Remedy =>
  text === 'true' || text === 'false' ? text === 'true' : new Remedy('give true or false')

export const text = (given: string): string => given

export const commaList = (given: string): readonly string[] =>
  given
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')

export const url =
  (...protocols: readonly string[]) =>
  (given: string): string | Remedy => {
    const isRight = URL.canParse(given) && protocols.includes(new URL(given).protocol)
    return isRight ? given : new Remedy(`give a URL that begins with ${protocols.join('// or ')}//`)
  }
