import type { JsonObject } from './openapi-types.ts'

const prefix = '#/components/schemas/'

/** Schemas with a title are written once, and referred to by it. */
export class SchemaComponents {
  readonly #named: Record<string, JsonObject> = {}

  of(schema: unknown): JsonObject {
    return this.#convert(schema) as JsonObject
  }

  all(): Readonly<Record<string, JsonObject>> {
    return this.#named
  }

  #convert(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((each) => this.#convert(each))
    if (typeof value !== 'object' || value === null) return value
    const converted: JsonObject = Object.fromEntries(
      Object.entries(value).map(([name, member]) => [name, this.#convert(member)]),
    )
    const { title, type } = converted
    if (typeof title !== 'string' || type !== 'object') return this.#withDiscriminator(converted)
    this.#named[title] = converted
    return { $ref: prefix + title }
  }

  /** Alternatives that are told apart by `kind` say so. */
  #withDiscriminator(schema: JsonObject): JsonObject {
    const { anyOf, ...rest } = schema
    if (!Array.isArray(anyOf)) return schema
    const mapping = (anyOf as readonly JsonObject[]).map(({ $ref }) => [this.#kindOf($ref), $ref] as const)
    if (mapping.some(([kind]) => kind === undefined)) return schema
    return {
      ...rest,
      oneOf: anyOf,
      discriminator: { propertyName: 'kind', mapping: Object.fromEntries(mapping) as JsonObject },
    }
  }

  #kindOf(reference: unknown): string | undefined {
    const schema = this.#named[String(reference).replace(prefix, '')]
    const properties = schema?.['properties'] as Readonly<Record<string, JsonObject>> | undefined
    const kind = properties?.['kind']?.['const']
    return typeof kind === 'string' ? kind : undefined
  }
}
