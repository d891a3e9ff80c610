import { readFileSync } from 'node:fs'
import { Type } from 'typebox'
import { describe, expect, test } from 'vitest'
import { resourceKindNames } from '#core/resources/index.ts'
import { crdFiles, customResourceDefinition } from '../../scripts/generate-crds.ts'
import { structuralSchema } from '../../scripts/structural-schema.ts'

describe('the CRDs', () => {
  test('in crds/ are what the sources give, the same each time', () => {
    for (const [name, text] of crdFiles()) {
      expect(readFileSync(new URL(`../../crds/${name}`, import.meta.url), 'utf8')).toBe(text)
    }
    expect(crdFiles()).toEqual(crdFiles())
  })

  test.each(resourceKindNames)('%s bounds every text and every list of its spec', (kind) => {
    const unbounded: string[] = []
    const walk = (schema: Readonly<Record<string, unknown>>, path: string): void => {
      const isBounded = schema['maxLength'] !== undefined || schema['enum'] !== undefined
      if (schema['type'] === 'string' && !isBounded) unbounded.push(path)
      if (schema['type'] === 'array' && schema['maxItems'] === undefined) unbounded.push(path)
      const children = { ...(schema['properties'] as object), items: schema['items'] }
      for (const [name, child] of Object.entries(children)) {
        if (child !== undefined) walk(child as Record<string, unknown>, `${path}.${name}`)
      }
    }
    const definition = customResourceDefinition(kind) as {
      spec: { versions: [{ schema: { openAPIV3Schema: { properties: { spec: Record<string, unknown> } } } }] }
    }
    walk(definition.spec.versions[0].schema.openAPIV3Schema.properties.spec, 'spec')
    expect(unbounded).toEqual([])
  })
})

describe('a structural schema', () => {
  test('has an enum with its type, where TypeBox has neither anyOf nor type', () => {
    expect(structuralSchema(Type.Enum(['a', 'b']))).toEqual({ type: 'string', enum: ['a', 'b'] })
  })

  test('has values of a map below additionalProperties, and closed objects without it', () => {
    expect(structuralSchema(Type.Record(Type.String(), Type.String({ maxLength: 3 })))).toEqual({
      type: 'object',
      additionalProperties: { type: 'string', maxLength: 3 },
    })
    const closed = Type.Object({ a: Type.Integer() }, { additionalProperties: false })
    expect(structuralSchema(closed)).toEqual({
      type: 'object',
      required: ['a'],
      properties: { a: { type: 'integer' } },
    })
  })

  test('is refused where it would lose a check', () => {
    const either = Type.Union([Type.Literal('a'), Type.Integer()])
    expect(() => structuralSchema(Type.Object({ either }))).toThrow('spec.either: no CRD knows anyOf')
    expect(() => structuralSchema(Type.Integer({ multipleOf: 2 }))).toThrow('multipleOf')
  })
})
