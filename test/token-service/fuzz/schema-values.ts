import fc from 'fast-check'
import type { JsonObject } from '../../../token-service/openapi/openapi-types.ts'

/** For a field of that name: values that mean something to the service, such as a token. */
export type KnownValues = (field: string) => readonly unknown[]

/** Values that a JSON schema allows. References have been written into it. */
export function valuesOf(schema: JsonObject, known: KnownValues, field = ''): fc.Arbitrary<unknown> {
  const values = plainValuesOf(schema, known)
  const meaningful = known(field)
  if (meaningful.length === 0) return values
  return fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...meaningful) }, { weight: 1, arbitrary: values })
}

function plainValuesOf(schema: JsonObject, known: KnownValues): fc.Arbitrary<unknown> {
  const options = (schema['oneOf'] ?? schema['anyOf']) as readonly JsonObject[] | undefined
  if (options !== undefined) return fc.oneof(...options.map((each) => valuesOf(each, known)))
  if ('const' in schema) return fc.constant(schema['const'])
  if (Array.isArray(schema['enum'])) return fc.constantFrom(...(schema['enum'] as unknown[]))
  switch (schema['type']) {
    case 'string':
      return texts(schema)
    case 'integer':
      return fc.integer({ min: Number(schema['minimum'] ?? -10), max: Number(schema['maximum'] ?? 100_000) })
    case 'boolean':
      return fc.boolean()
    case 'array': {
      const bounds = {
        minLength: Number(schema['minItems'] ?? 0),
        maxLength: Number(schema['maxItems'] ?? 3),
      }
      const items = valuesOf((schema['items'] ?? {}) as JsonObject, known)
      return schema['uniqueItems'] === true
        ? fc.uniqueArray(items, bounds)
        : fc.array(items, { ...bounds, size: 'small' })
    }
    case 'object':
      return objects(schema, known)
    default:
      return fc.jsonValue({ maxDepth: 2 })
  }
}

function texts({ pattern, format, minLength, maxLength }: JsonObject): fc.Arbitrary<string> {
  if (format === 'date-time') return fc.date({ noInvalidDate: true }).map((date) => date.toISOString())
  if (typeof pattern === 'string') return fc.stringMatching(new RegExp(pattern), { size: 'small' })
  return fc.string({
    minLength: Number(minLength ?? 0),
    maxLength: Math.min(Number(maxLength ?? 40), 600),
    unit: 'binary',
  })
}

function objects(schema: JsonObject, known: KnownValues): fc.Arbitrary<unknown> {
  const properties = Object.entries((schema['properties'] ?? {}) as Record<string, JsonObject>)
  const members = properties.map(([name, member]) => [name, valuesOf(member, known, name)] as const)
  const required = (schema['required'] ?? []) as string[]
  const declared = fc.record(Object.fromEntries(members), { requiredKeys: required })
  const { additionalProperties } = schema
  if (typeof additionalProperties !== 'object') return declared
  const others = fc.dictionary(
    fc.string({ minLength: 1 }),
    valuesOf(additionalProperties as JsonObject, known),
  )
  return fc.tuple(others, declared).map(([more, own]) => ({ ...more, ...own }))
}
