import { glob, readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { describe, expect, test } from 'vitest'
import { brokerSettings } from '../../broker/settings.ts'
import { connectionSettings } from '../../cli/connection.ts'
import { operatorSettings } from '../../operator/settings.ts'
import { settings as tokenServiceSettings } from '../../token-service/settings.ts'
import { anchorsOf, missingIn, type Page, type Referents } from './references.ts'

const programSettings = [brokerSettings, operatorSettings, tokenServiceSettings, connectionSettings]
  .flatMap((table) => Object.values(table))
  .map(({ name }) => name)

async function read(...patterns: readonly string[]): Promise<readonly Page[]> {
  const pages: Page[] = []
  for await (const path of glob(patterns)) pages.push({ path, text: await readFile(path, 'utf8') })
  return pages.toSorted((left, right) => left.path.localeCompare(right.path))
}

const markdown = await read('README.md', 'docs/**/*.md', 'charts/*/README.md')
const pages = [
  ...markdown,
  ...(await read('examples/**/*.yaml', 'charts/*/values.yaml', 'charts/*/templates/NOTES.txt')),
]
const tests = await read('test/**/*.ts', 'scripts/*.ts')
const programs = await read('{broker,core,operator,token-service}/**/*.ts')

const referents: Referents = {
  anchors: new Map(markdown.map(({ path, text }) => [path, anchorsOf(text)])),
  values: parse(await readFile('charts/cloudsignal/values.yaml', 'utf8')) as Record<string, unknown>,
  scripts: new Set(
    Object.keys((JSON.parse(await readFile('package.json', 'utf8')) as { scripts: object }).scripts),
  ),
  settings: new Set([
    ...programSettings,
    ...tests.flatMap(({ text }) => text.match(/(?<=process\.env\['|env\.)CLOUDSIGNAL_TEST_\w+/g) ?? []),
  ]),
  // A test of its own holds docs/metrics.md against what the programs serve; workers of a broker are not among them.
  metrics: new Set([
    ...markdown.flatMap(({ path, text }) =>
      path === 'docs/metrics.md' ? (text.match(/(?<=^\| `)cloudsignal_\w+/gm) ?? []) : [],
    ),
    ...programs.flatMap(({ text }) => text.match(/(?<=')cloudsignal_\w+(?=')/g) ?? []),
  ]),
}

describe('what people read', () => {
  test.each(pages)('refers to nothing that is not there: $path', (page) => {
    expect(missingIn(page, referents)).toEqual([])
  })

  test('names every setting of every program', () => {
    const all = markdown.map(({ text }) => text).join('\n')
    expect(programSettings.filter((name) => !all.includes(`\`${name}\``))).toEqual([])
    expect(all).not.toContain('`CLOUDSIGNAL_BROKER_SETTING_THAT_NOBODY_READS`')
  })

  test.each([
    ['[it](nowhere.md)', 'links to nowhere.md, which is not there'],
    ['[it](metrics.md#not-a-heading)', 'links to metrics.md#not-a-heading: no such heading'],
    ['[it](#not-a-heading)', 'links to #not-a-heading: no such heading'],
    ['see `core/nowhere.ts`', 'names core/nowhere.ts, which is not there'],
    ['kubectl apply -f examples/9-nothing.yaml', 'names examples/9-nothing.yaml, which is not there'],
    ['set `broker.drain.hours`', 'names the value broker.drain.hours, which the chart does not have'],
    ['helm upgrade --set crds.istall=false', 'names the value crds.istall, which the chart does not have'],
    ['`npm run nothing`', 'runs npm run nothing, which is no script'],
    ['`CLOUDSIGNAL_BROKER_DRAIN_HOURS`', 'names CLOUDSIGNAL_BROKER_DRAIN_HOURS, which nothing reads'],
    ['`CLOUDSIGNAL_TEST_NOTHING`', 'names CLOUDSIGNAL_TEST_NOTHING, which nothing reads'],
    [
      '`cloudsignal_broker_nothing_total`',
      'names the metric cloudsignal_broker_nothing_total, which is not there',
    ],
  ])('is found out: %s', (text, problem) => {
    expect(missingIn({ path: 'docs/page.md', text: `# Page\n\n${text}\n` }, referents)).toEqual([problem])
  })

  test.each([
    '[it](metrics.md#broker) and [that](#page), [elsewhere](https://example.com/#x), [above](../README.md)',
    '`core/stores/redis-keys.ts`, `test/broker/attacks`',
    '`broker.tls.certManager.issuerRef.name`, `crds.install=false`, `broker.service.annotations.anything`',
    '`spec.rotation`, `npm run check`, `npm start`',
    '`CLOUDSIGNAL_BROKER_DRAIN_SECONDS` and `CLOUDSIGNAL_OWN`, which `process.env.CLOUDSIGNAL_OWN` reads',
    '`cloudsignal_broker_connections`',
  ])('may say %s', (text) => {
    const page = { path: 'docs/page.md', text: `# Page\n\n${text}\n` }
    const anchors = new Map([...referents.anchors, [page.path, anchorsOf(page.text)]])
    expect(missingIn(page, { ...referents, anchors })).toEqual([])
  })
})

test('headings have the anchors that GitHub gives them', () => {
  const text = '# `values.yaml`: A & b\n## Twice\n## Twice\n### [Link](x.md) Ünder_score\n```\n# none\n```\n'
  expect([...anchorsOf(text)]).toEqual(['valuesyaml-a--b', 'twice', 'twice-1', 'link-ünder_score'])
})
