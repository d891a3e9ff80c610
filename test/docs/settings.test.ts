/** docs/settings.md says which value of the chart a setting follows: each that is a number is changed, and looked for. */
import { readFile } from 'node:fs/promises'
import { parse, parseDocument } from 'yaml'
import { expect, test } from 'vitest'
import { podOf, programs, render } from '../charts/render.ts'

const page = await readFile('docs/settings.md', 'utf8')
const values = await readFile('charts/cloudsignal/values.yaml', 'utf8')

test('a value that the page names is what the setting follows', async () => {
  const rows = [...page.matchAll(/^\| `(CLOUDSIGNAL_\w+)` \| .* \| `([\w.]+)` \|$/gm)]
  const document = parseDocument(values)
  const changed = rows.flatMap(([, name = '', path = '']) => {
    const value: unknown = parseDocument(values).getIn(path.split('.'))
    return typeof value === 'number' ? [{ name, path, value: value > 1 ? value - 1 : value + 1 }] : []
  })
  expect(changed.length).toBeGreaterThan(20)
  for (const { path, value } of changed) document.setIn(path.split('.'), value)

  const objects = await render(parse(String(document)) as object)
  const environment = programs.flatMap((program) => podOf(objects, program).spec.containers[0].env)
  const given = new Map(environment.map(({ name, value }) => [name, value]))
  const found = changed.map(({ name }) => [name, given.get(name)])
  expect(found).toEqual(changed.map(({ name, value }) => [name, String(value)]))
})
