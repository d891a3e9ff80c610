import { Type } from 'typebox'
import { describe, expect, test } from 'vitest'
import { resourceKindNames } from '#core/resources/index.ts'
import { crdFiles, customResourceDefinition, presentFiles } from '../../scripts/generate-crds.ts'
import { structuralSchema } from '../../scripts/structural-schema.ts'

describe('the CRDs', () => {
  test('in crds/ are what the sources give, the same each time', async () => {
    const present = await presentFiles()
    expect(crdFiles(present)).toEqual(present)
    expect(present.size).toBe(resourceKindNames.length)
  })

  test('have a version that grows with what they take, and not with what they say', async () => {
    const present = await presentFiles()
    const text = present.get('mqttusers.yaml') ?? ''
    const versionOf = (before: string): number => {
      const written = crdFiles(new Map([['mqttusers.yaml', before]])).get('mqttusers.yaml') ?? ''
      return Number(/schema-version: "(\d+)"/.exec(written)?.[1])
    }
    const version = versionOf(text)
    expect(version).toBeGreaterThan(0)
    expect(versionOf(text.replace(/^( +)description: .*$/m, '$1description: other'))).toBe(version)
    expect(versionOf(text.replace('maxItems: 64', 'maxItems: 63'))).toBe(version + 1)
    expect(versionOf(text.replace('maximum: 1000000', 'maximum: 9'))).toBe(version + 1)
    // In the middle of a merge, where both sides have raised it.
    const merging = `${text.replace(`"${version}"`, `"${version + 4}"`)}<<<<<<< a\n=======\n>>>>>>> b\n`
    expect(versionOf(merging)).toBe(version + 5)
    expect(versionOf('')).toBe(1)
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
