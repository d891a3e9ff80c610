import { readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { expect, test } from 'vitest'
import { commentExamples, neededWithForeign, withExamples } from './comment-examples.ts'
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

test('the examples in comments are values that the chart takes, and makes something of', async () => {
  expect(commentExamples.map(({ path }) => path)).toEqual(
    expect.arrayContaining([
      'redis.hosts',
      'broker.proxyProtocolFrom',
      'tokenService.tolerations',
      'extraObjects',
    ]),
  )
  const [withThem, without] = await Promise.all([
    renderText(withExamples(commentExamples, ['team-a'], neededWithForeign)),
    renderText(
      withExamples(
        commentExamples.filter(({ path }) => path === 'redis.hosts'),
        ['team-a'],
        neededWithForeign,
      ),
    ),
  ])
  const many = (text: string, part: string): number => text.split(part).length - 1
  const words = commentExamples
    .filter(({ path }) => path !== 'redis.hosts')
    .map(({ path, value }) => String(path.endsWith('namespaces') ? 'team-a' : lastIn(value)))
  // Programs have examples in common: each has to be there as often as it is given.
  const lost = words.filter((word) => {
    const given = words.filter((each) => each === word).length
    return many(withThem, word) - many(without, word) < given
  })
  expect(lost).toEqual([])
})

function lastIn(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  const last = Object.values(value).at(-1) as unknown
  return typeof last === 'string' && last.includes('{{') ? last.replace(/.*}}/, '') : lastIn(last)
}
