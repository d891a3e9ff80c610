import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { describe, expect, test } from 'vitest'
import { checkResource } from '#core/resources/check-resource.ts'
import { previousChart } from './previous.ts'
import { chartDirectory, render, runHelm } from './render.ts'

interface Named {
  readonly name: string
  readonly url: string
}
interface Image {
  readonly name: string
  readonly image: string
}
interface Change {
  readonly kind: string
  readonly description: string
}
interface Crd {
  readonly kind: string
  readonly version: string
  readonly name: string
  readonly displayName: string
  readonly description: string
}
interface Example {
  readonly apiVersion: string
  readonly kind: string
}
interface ChartFile {
  readonly home: string
  readonly sources: readonly string[]
  readonly annotations: Readonly<Record<string, string>>
}

const chart = parse(readFileSync(join(chartDirectory, 'Chart.yaml'), 'utf8')) as ChartFile
const annotation = (name: string): string => chart.annotations[`artifacthub.io/${name}`] ?? ''
const listed = <T>(name: string): readonly T[] => parse(annotation(name)) as readonly T[]

const crds = readdirSync('crds').map(
  (file) =>
    parse(readFileSync(join('crds', file), 'utf8')) as {
      readonly metadata: { readonly name: string }
      readonly spec: {
        readonly names: { readonly kind: string }
        readonly versions: readonly { readonly name: string; readonly storage: boolean }[]
      }
    },
)

describe('what Artifact Hub is told of the chart', () => {
  test('is nothing that it does not know, all of it text', () => {
    expect(
      Object.keys(chart.annotations)
        .map((name) => name.replace('artifacthub.io/', ''))
        .toSorted(),
    ).toEqual([
      'category',
      'changes',
      'containsSecurityUpdates',
      'crds',
      'crdsExamples',
      'images',
      'license',
      'links',
      'operator',
      'operatorCapabilities',
      'prerelease',
    ])
    for (const value of Object.values(chart.annotations)) expect(value).toBeTypeOf('string')
    for (const flag of ['operator', 'prerelease', 'containsSecurityUpdates']) {
      expect(['true', 'false']).toContain(annotation(flag))
    }
    const categories =
      'ai-machine-learning database integration-delivery monitoring-logging networking security'
    expect([...categories.split(' '), 'storage', 'streaming-messaging']).toContain(annotation('category'))
    const levels = ['Basic Install', 'Seamless Upgrades', 'Full Lifecycle', 'Deep Insights', 'Auto Pilot']
    expect(levels).toContain(annotation('operatorCapabilities'))
  })

  test('is the licence of the package', () => {
    const { license } = JSON.parse(readFileSync('package.json', 'utf8')) as { readonly license: string }
    expect(annotation('license')).toBe(license)
    expect(readFileSync('LICENSE', 'utf8')).toContain('Apache License')
  })

  test('is every kind in crds/, by name and version', () => {
    const wanted = crds.map(({ metadata, spec }) => ({
      kind: spec.names.kind,
      version: spec.versions.find(({ storage }) => storage)?.name,
      name: metadata.name,
    }))
    const told = listed<Crd>('crds').map(({ kind, version, name }) => ({ kind, version, name }))
    const byName = (one: { readonly name: string }, other: { readonly name: string }): number =>
      one.name.localeCompare(other.name)
    expect(told.toSorted(byName)).toEqual(wanted.toSorted(byName))
    for (const { displayName, description } of listed<Crd>('crds')) {
      expect(displayName).toMatch(/^[A-Z]/)
      expect(description).toMatch(/^[A-Z].*\.$/)
    }
  })

  test('is an example of every kind, which the operator would take', () => {
    const examples = listed<Example>('crdsExamples')
    const kinds = crds.map(({ spec }) => spec.names.kind)
    expect(examples.map(({ kind }) => kind).toSorted()).toEqual(kinds.toSorted())
    expect(examples.map((example) => checkResource(example).problems)).toEqual(examples.map(() => undefined))
  })

  test('is every image that its pods run', async () => {
    const objects = JSON.stringify(await render({ redis: { mode: 'development' } }))
    const run = new Set([...objects.matchAll(/"image":"([^"]+)"/g)].map(([, image = '']) => image))
    expect(
      listed<Image>('images')
        .map(({ image }) => image)
        .toSorted(),
    ).toEqual([...run].toSorted())
  })

  test('is links to pages that there are', () => {
    const links = listed<Named>('links')
    const ours = links.flatMap(({ url }) => /\/blob\/main\/(.+)$/.exec(url)?.[1] ?? [])
    expect(ours.length).toBeGreaterThan(1)
    expect(ours.filter((path) => !existsSync(path))).toEqual([])
    expect(links.filter(({ url }) => !url.startsWith(`${chart.home}/`))).toEqual([])
    expect(chart.sources).toEqual([chart.home])
  })

  test('is what changed since the version before, and every value that is gone', async () => {
    const changes = listed<Change>('changes')
    const kinds = ['added', 'changed', 'deprecated', 'removed', 'fixed', 'security']
    expect(changes.filter(({ kind, description }) => !kinds.includes(kind) || description === '')).toEqual([])
    expect(changes.length).toBeGreaterThan(0)
    const former = parse(await runHelm(['show', 'values', previousChart])) as object
    const now = parse(readFileSync(join(chartDirectory, 'values.yaml'), 'utf8')) as object
    const removed = changes.filter(({ kind }) => kind === 'removed').map(({ description }) => description)
    expect(removed.join('\n').match(/[\w]+(\.[\w]+)+/g) ?? []).toEqual(goneFrom(former, now))
  })

  test('is a security update where something of security changed', () => {
    const isOne = listed<Change>('changes').some(({ kind }) => kind === 'security')
    expect(annotation('containsSecurityUpdates')).toBe(String(isOne))
  })
})

/** Paths of values of one chart that another has no more. */
function goneFrom(former: object, now: unknown, parents = ''): readonly string[] {
  return Object.entries(former).flatMap(([name, value]) => {
    const path = `${parents}${name}`
    const isThere = typeof now === 'object' && now !== null && Object.hasOwn(now, name)
    if (!isThere) return [path]
    const inner = (now as Record<string, unknown>)[name]
    const isGroup = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isGroup ? goneFrom(value as object, inner, `${path}.`) : []
  })
}

test('a value that is gone is found by its path', () => {
  const former = { a: { b: 1, c: { d: 2, e: [] } }, f: {} }
  expect(goneFrom(former, { a: { b: 1, c: { e: {} } } })).toEqual(['a.c.d', 'f'])
})
