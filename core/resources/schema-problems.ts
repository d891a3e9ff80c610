import type { TSchema } from 'typebox'
import type { TLocalizedValidationError } from 'typebox/error'
import { Settings } from 'typebox/system'
import { Errors } from 'typebox/value'
import type { Problem } from '#core/errors.ts'
import { closestName } from './closest-name.ts'
import { durationPattern, objectNamePattern } from './fields.ts'

const mostProblems = 100

/**
 * Every way in which a value is not what the schema says, in words for the person who wrote it. Fields are
 * paths below `root`: `spec.rules[0].topics[1]`.
 */
export function schemaProblems(schema: TSchema, value: unknown, root: string): Problem[] {
  return [
    ...allErrors(schema, value).flatMap((error) => problemsOf(error, schema, value, root)),
    ...repeatedKeys(schema, value, root),
  ]
}

/** A JSON pointer's steps as a path of a field; `labels["a/b"]` where a step is no plain name. */
export function fieldPath(root: string, steps: readonly string[]): string {
  return steps.reduce((path, step) => {
    if (/^\d+$/.test(step)) return `${path}[${step}]`
    return /^[A-Za-z_][\w-]*$/.test(step) ? `${path}.${step}` : `${path}[${JSON.stringify(step)}]`
  }, root)
}

/** TypeBox stops after eight errors unless told otherwise, and only a global setting tells it. */
function allErrors(schema: TSchema, value: unknown): readonly TLocalizedValidationError[] {
  const { maxErrors } = Settings.Get()
  Settings.Set({ maxErrors: mostProblems })
  try {
    return Errors(schema, value)
  } finally {
    Settings.Set({ maxErrors })
  }
}

function problemsOf(
  error: TLocalizedValidationError,
  schema: TSchema,
  value: unknown,
  root: string,
): readonly Problem[] {
  const steps = stepsOf(error.instancePath)
  const field = fieldPath(root, steps)
  const found = valueAt(value, steps)
  const shown = typeof found === 'object' && found !== null ? {} : { value: found }
  switch (error.keyword) {
    // Said once more as `additionalProperties`.
    case 'boolean':
      return []
    case 'additionalProperties':
      // The value stays out: it may be a password under a name that does not exist.
      return error.params.additionalProperties.map((name) => ({
        field: fieldPath(field, [name]),
        remedy: unknownField(name, Object.keys(propertiesOf(schemaAt(schema, error.schemaPath)))),
      }))
    case 'required':
      return error.params.requiredProperties.map((name) => ({
        field: fieldPath(field, [name]),
        remedy: requiredField(schemaAt(schema, error.schemaPath), name),
      }))
    case 'uniqueItems':
      return error.params.duplicateItems.map((index) => ({
        field: `${field}[${index}]`,
        value: valueAt(found, [String(index)]),
        remedy: 'remove it: it is there already',
      }))
    default:
      return [{ field, ...shown, remedy: remedyOf(error, schemaAt(schema, error.schemaPath), found) }]
  }
}

function remedyOf(error: TLocalizedValidationError, schema: Members, found: unknown): string {
  switch (error.keyword) {
    case 'type':
      return `give ${article(String(error.params.type))}${choicesOf(schema)}`
    case 'enum':
      return `give one of ${error.params.allowedValues.join(', ')}${didYouMean(found, error.params.allowedValues)}`
    case 'pattern':
      return patternRemedy(String(error.params.pattern))
    case 'minLength':
      return error.params.limit === 1 ? 'give a text' : `give at least ${error.params.limit} characters`
    case 'maxLength':
      return `give at most ${error.params.limit} characters`
    case 'minItems':
      return `give at least ${error.params.limit}`
    case 'maxItems':
    case 'maxProperties':
      return `give at most ${error.params.limit}`
    case 'minimum':
      return `give ${error.params.limit} or more`
    case 'maximum':
      return `give ${error.params.limit} or less`
    default:
      return error.message
  }
}

/** Patterns of ours in words; an unknown one is shown as it is. */
const patternsInWords: Readonly<Record<string, string>> = {
  [objectNamePattern]: 'give a name of a-z, 0-9, - and . that begins and ends with a letter or digit',
  [durationPattern]: 'give a duration such as 60s, 15m or 24h',
  '^[a-z2-7]{12}$': 'give exactly 12 characters of a-z and 2-7',
  '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$':
    'give 1 to 64 characters of A-Z, a-z, 0-9, ., _ and -, the first a letter or digit; without @org_…',
  '^https?://[^\\s?#@]+$': 'give a URL that begins with https:// (or http://), without user, ? or #',
  '^(/([^~/]|~0|~1)*)+$': 'give a JSON pointer such as /app_metadata/role',
  '^[A-Za-z][A-Za-z0-9_-]{0,63}$':
    'give a name of A-Z, a-z, 0-9, _ and - that begins with a letter, 64 characters at most',
  '^[a-z][a-z0-9-]{4,61}$': 'give the project id, such as my-app-1234',
}

function patternRemedy(pattern: string): string {
  return patternsInWords[pattern] ?? `give something that matches ${pattern}`
}

/** As API servers do for `x-kubernetes-list-type: map`: no two elements under one key. */
function repeatedKeys(schema: TSchema, value: unknown, path: string): Problem[] {
  const members = schema as Members
  if (Array.isArray(value)) {
    const key = members['x-kubernetes-list-map-keys']?.[0]
    const seen = new Set<unknown>()
    return value.flatMap((element: unknown, index) => {
      const at = `${path}[${index}]`
      const name = key === undefined ? undefined : valueAt(element, [key])
      const isRepeated = name !== undefined && seen.has(name)
      seen.add(name)
      const repeated = { field: at, value: name, remedy: `remove it: that ${key} is there already` }
      return [
        ...(isRepeated ? [repeated] : []),
        ...(members.items === undefined ? [] : repeatedKeys(members.items, element, at)),
      ]
    })
  }
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(propertiesOf(members)).flatMap(([name, property]) =>
    Object.hasOwn(value, name) ? repeatedKeys(property, valueAt(value, [name]), fieldPath(path, [name])) : [],
  )
}

/** What a schema may hold, of all that we look at. */
interface Members {
  readonly description?: string
  readonly enum?: readonly unknown[]
  readonly properties?: Readonly<Record<string, TSchema>>
  readonly items?: TSchema
  readonly 'x-kubernetes-list-map-keys'?: readonly string[]
}

const propertiesOf = (schema: Members): Readonly<Record<string, TSchema>> => schema.properties ?? {}

function schemaAt(schema: TSchema, path: string): Members {
  return (valueAt(schema, stepsOf(path.replace(/^#/, ''))) ?? {}) as Members
}

function stepsOf(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
}

function valueAt(value: unknown, steps: readonly string[]): unknown {
  let at = value
  for (const step of steps) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return undefined
    at = (at as Record<string, unknown>)[step]
  }
  return at
}

/** What to do about a name that no field has. */
export function unknownField(name: string, known: readonly string[]): string {
  const closest = closestName(name, known)
  if (closest !== undefined) return `is no field; did you mean ${closest}?`
  return `is no field; there ${known.length === 1 ? 'is' : 'are'} ${known.join(', ') || 'none'}`
}

function requiredField(schema: Members, name: string): string {
  const described = (propertiesOf(schema)[name] as Members | undefined)?.description
  return described === undefined ? 'must be given' : `must be given: ${described}`
}

function choicesOf(schema: Members): string {
  return schema.enum === undefined ? '' : `: one of ${schema.enum.join(', ')}`
}

function didYouMean(found: unknown, choices: readonly unknown[]): string {
  const closest = typeof found === 'string' ? closestName(found, choices.map(String)) : undefined
  return closest === undefined ? '' : `; did you mean ${closest}?`
}

const articles: Readonly<Record<string, string>> = {
  string: 'a text (in quotes where it looks like a number)',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'fields below it',
}
const article = (type: string): string => articles[type] ?? type
