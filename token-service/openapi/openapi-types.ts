export type JsonObject = { readonly [name: string]: unknown }

/** OpenAPI 3.1, as far as it is used here. */
export interface OpenApiDocument extends JsonObject {
  readonly info: { readonly title: string; readonly description: string } & JsonObject
  readonly tags: readonly { readonly name: string; readonly description: string }[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, JsonObject>> } & JsonObject
}

export interface Operation extends JsonObject {
  readonly operationId: string
  readonly tags: readonly string[]
  readonly summary: string
  readonly description?: string
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: { readonly required: boolean; readonly content: Content }
  readonly responses: Readonly<Record<string, Response>>
}

export interface Parameter {
  readonly name: string
  readonly in: 'path' | 'query'
  readonly required: boolean
  readonly description?: string
  readonly schema: JsonObject
}

export interface Response {
  readonly description: string
  readonly headers?: JsonObject
  readonly content?: Content
}

export type Content = Readonly<
  Record<string, { readonly schema: JsonObject; readonly example?: unknown; readonly examples?: JsonObject }>
>
