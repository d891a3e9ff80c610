import { readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { expect, test } from 'vitest'
import { chartDirectory, renderText } from './render.ts'
import { foreignMatrix, valueMatrix } from './value-matrix.ts'

const templates = readdirSync(join(chartDirectory, 'templates'), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.yaml'))
  .map(({ parentPath, name }) => relative(chartDirectory, join(parentPath, name)))

/** Which templates gave an object. */
async function rendered(values: object): Promise<ReadonlySet<string>> {
  const found = (await renderText(values)).matchAll(/^# Source: cloudsignal\/(.*)\n(?=\w)/gm)
  return new Set([...found].map(([, path = '']) => path))
}

test('each template gives an object with values whose objects an API server is shown', async () => {
  const all = new Set<string>()
  for (const [, values] of [...valueMatrix(['team-a']), ...foreignMatrix]) {
    for (const path of await rendered(values)) all.add(path)
  }
  expect([...all].toSorted()).toEqual(templates.toSorted())
})

test('few of them do by default', async () => {
  const some = await rendered({})
  expect(some.size).toBeGreaterThan(5)
  expect(some.size).toBeLessThan(templates.length - 5)
})
