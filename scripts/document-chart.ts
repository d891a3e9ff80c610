/**
 * The comments of the chart's values.yaml become the descriptions of its values.schema.json and the table of its
 * README.md. With --check it only compares.
 */
import { readFile } from 'node:fs/promises'
import { isMap, isScalar, type Node, type Pair, parseDocument, type YAMLMap } from 'yaml'
import { generateFile } from './generated-file.ts'

interface Value {
  readonly path: string
  readonly description: string
  /** Undefined where the values below it are listed themselves. */
  readonly default?: string
}

interface Schema {
  description?: string
  readonly properties?: Readonly<Record<string, Schema>>
}

const chart = new URL('../charts/cloudsignal/', import.meta.url)
const [begin, end] = ['<!-- values: written by npm run generate -->\n', '<!-- end of values -->\n']

const schema = JSON.parse(await readFile(new URL('values.schema.json', chart), 'utf8')) as Schema
const values = valuesIn(await readFile(new URL('values.yaml', chart), 'utf8'), schema)
await update('values.schema.json', (text) => describeSchema(text, values))
await update('README.md', (text) => replaceTable(text, values))

async function update(name: string, change: (text: string) => string): Promise<void> {
  const file = new URL(name, chart)
  await generateFile(file, change(await readFile(file, 'utf8')))
}

/** A value without a comment means what the first one does whose path ends most like its own. */
function valuesIn(text: string, schema: Schema): readonly Value[] {
  const found = [...below(parseDocument(text).contents as YAMLMap, '', schema)]
  const described = found.filter(({ description }) => description !== '')
  return found.map((value) => {
    if (value.description !== '') return value
    const names = value.path.split('.')
    for (let index = 1; index < names.length; index += 1) {
      const tail = `.${names.slice(index).join('.')}`
      const model = described.find(({ path }) => path.endsWith(tail))
      if (model !== undefined) return { ...value, description: model.description }
    }
    throw new Error(`values.yaml: ${value.path} has no comment`)
  })
}

function* below(map: YAMLMap, parents: string, schema: Schema): Generator<Value> {
  for (const [index, item] of map.items.entries()) {
    const { key, value } = item as Pair<Node, Node | null>
    const name = isScalar(key) ? String(key.value) : ''
    const path = `${parents}${name}`
    const inner = schema.properties?.[name]
    // The parser gives the comment of the first value of a block to the block.
    const comment = key.commentBefore ?? (index === 0 && parents !== '' ? map.commentBefore : undefined) ?? ''
    const [description = ''] = comment
      .split(/\n\s*\n/)
      .slice(-1)
      .map((paragraph) => paragraph.replace(/\s+/g, ' ').trim())
    if (isMap(value) && inner?.properties !== undefined) {
      yield { path, description }
      yield* below(value, `${path}.`, inner)
    } else {
      yield { path, description, default: JSON.stringify(value?.toJSON() as unknown) }
    }
  }
}

function describeSchema(text: string, values: readonly Value[]): string {
  const schema = JSON.parse(text) as Schema
  for (const { path, description } of values) {
    const place = path
      .split('.')
      .reduce<Schema | undefined>((schema, name) => schema?.properties?.[name], schema)
    // What several programs have in common is described by the first of them.
    if (place !== undefined) place.description = description
  }
  return `${JSON.stringify(schema, undefined, 2)}\n`
}

function replaceTable(text: string, values: readonly Value[]): string {
  const [before, after] = [text.indexOf(begin), text.indexOf(end)]
  if (before < 0 || after < before) throw new Error(`README.md has no place between ${begin}and ${end}`)
  const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;')
  const rows = values.map(
    ({ path, description, default: value }) =>
      `| \`${path}\` | ${cell(description)} | ${value === undefined ? '' : `\`${value.replaceAll('|', '\\|')}\``} |\n`,
  )
  return [
    text.slice(0, before + begin.length),
    '\n| value | what it is | default |\n|---|---|---|\n',
    ...rows,
    '\n',
    text.slice(after),
  ].join('')
}
