import type { TSchema } from 'typebox'

/** A JSON schema as apiextensions.k8s.io/v1 takes it. */
export type StructuralSchema = Readonly<Record<string, unknown>>

// What a CRD takes word for word. Everything else is translated below, or an error: silence would lose a check.
const copied = [
  'description',
  'pattern',
  'minLength',
  'maxLength',
  'minimum',
  'maximum',
  'minItems',
  'maxItems',
  'maxProperties',
  'format',
  'enum',
  'required',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
] as const
const translated = ['type', 'properties', 'patternProperties', 'items', 'additionalProperties', 'uniqueItems']

/**
 * The structural schema of a TypeBox schema. `additionalProperties: false` goes without saying: the API server
 * refuses or prunes what it does not know.
 */
export function structuralSchema(schema: TSchema, path = 'spec'): StructuralSchema {
  const given = schema as unknown as Readonly<Record<string, unknown>>
  const unknown = Object.keys(given).find((key) => !isKnown(key))
  if (unknown !== undefined) throw new Error(`${path}: no CRD knows ${unknown}`)
  const result: Record<string, unknown> = { type: given['type'] ?? typeOfEnum(given['enum'], path) }
  for (const key of copied) if (given[key] !== undefined) result[key] = given[key]
  if (given['properties'] !== undefined) {
    result['properties'] = mapValues(given['properties'] as Record<string, TSchema>, (property, name) =>
      structuralSchema(property, `${path}.${name}`),
    )
  }
  if (given['patternProperties'] !== undefined) {
    const [values] = Object.values(given['patternProperties'] as Record<string, TSchema>)
    if (values !== undefined) result['additionalProperties'] = structuralSchema(values, `${path}.*`)
  }
  if (given['items'] !== undefined) {
    result['items'] = structuralSchema(given['items'] as TSchema, `${path}[]`)
  }
  if (given['uniqueItems'] === true) result['x-kubernetes-list-type'] = 'set'
  return result
}

function isKnown(key: string): boolean {
  return (copied as readonly string[]).includes(key) || translated.includes(key)
}

function typeOfEnum(values: unknown, path: string): string {
  if (Array.isArray(values) && values.every((value) => typeof value === 'string')) return 'string'
  throw new Error(`${path}: has no type`)
}

function mapValues<T, R>(values: Record<string, T>, map: (value: T, name: string) => R): Record<string, R> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, map(value, name)]))
}
