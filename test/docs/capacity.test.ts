/** docs/capacity.md counts with figures that somebody can measure again, and with the chart as it is. */
import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { expect, test } from 'vitest'
import { scenarios } from '../../bench/index.ts'

const page = await readFile('docs/capacity.md', 'utf8')
const benchmarks = await readFile('docs/benchmarks.md', 'utf8')
const sectionOf = (title: string): string => page.split(/^## /m).find((each) => each.startsWith(title)) ?? ''
const cellsOf = (section: string): readonly (readonly string[])[] =>
  [...section.matchAll(/^\| (.+) \|$/gm)].slice(1).map(([, row = '']) => row.split(' | '))

interface Program {
  readonly resources: {
    readonly requests: { readonly cpu: string; readonly memory: string }
    readonly limits: { readonly memory: string }
  }
}
type Values = Readonly<Record<'broker' | 'tokenService' | 'operator', Program>> & {
  readonly broker: { readonly autoscaling: { readonly targetConnections: number } }
}
const values = parse(await readFile('charts/cloudsignal/values.yaml', 'utf8')) as Values

test('every figure of what one carries is of a scenario, which the page of benchmarks explains', () => {
  const sources = cellsOf(sectionOf('What one carries')).flatMap((row) => (row.at(-1) ?? '').split(', '))
  expect(sources.length).toBeGreaterThan(10)
  const names = scenarios.map(({ name }) => `\`${name}\``)
  expect(sources.filter((source) => !names.includes(source))).toEqual([])
  expect(sources.filter((source) => !benchmarks.includes(source))).toEqual([])
})

test("what it says of the chart's defaults stands in values.yaml", () => {
  const said = cellsOf(sectionOf("The chart's defaults")).map((row) => row.slice(0, 3))
  const quantity = (text: string): string => text.replace(/([GM])i$/, ' $1iB')
  const are = (['broker', 'tokenService', 'operator'] as const).map((name) => {
    const { requests, limits } = values[name].resources
    const title = name === 'tokenService' ? 'token service' : name
    return [title, `${requests.cpu} CPU, ${quantity(requests.memory)}`, quantity(limits.memory)]
  })
  expect(said).toEqual(are)
  expect(page).toContain(
    `\`broker.autoscaling.targetConnections\` is ${values.broker.autoscaling.targetConnections}`,
  )
})
