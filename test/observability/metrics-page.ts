import { readFile } from 'node:fs/promises'

export interface DocumentedMetric {
  readonly name: string
  readonly type: string
  readonly labels: readonly string[]
  readonly help: string
  readonly servedBy: readonly string[]
  /** That it stands below. */
  readonly heading: string
}

/** A row that says what a label may be. */
export interface DocumentedLabel {
  readonly label: string
  readonly heading: string
  /** Metrics below the same heading; undefined for all that have the label and no row of their own. */
  readonly of: string | undefined
  readonly values: readonly string[]
  /** There are others, which it tells of in words. */
  readonly isOpen: boolean
}

const metricRow = /^\| `([^`]+)` \| (counter|gauge|histogram|summary) \| ([^|]*) \| (.*) \|$/
const labelRow = /^\| (`\w+`(?:, `\w+`)*) \| (?:`(\w+)` )?\| (.*) \|$/
const page = readFile(new URL('../../docs/metrics.md', import.meta.url), 'utf8')

/** The tables of docs/metrics.md, each below a line that says which programs serve what is in it. */
export async function documentedMetrics(): Promise<readonly DocumentedMetric[]> {
  let servedBy: readonly string[] = []
  return (await linesBelow()).flatMap(([heading, line]) => {
    const [, programs] = /^Served by: ([a-z, -]+)\./.exec(line) ?? []
    if (programs !== undefined) servedBy = programs.split(', ')
    const [, name, type = '', labels = '', help = ''] = metricRow.exec(line) ?? []
    if (name === undefined) return []
    return [{ name, type, labels: quoted(labels), help, servedBy, heading }]
  })
}

export async function documentedLabels(): Promise<readonly DocumentedLabel[]> {
  return (await linesBelow()).flatMap(([heading, line]) => {
    if (metricRow.test(line)) return []
    const [, labels, of, said = ''] = labelRow.exec(line) ?? []
    if (labels === undefined) return []
    // "`a`, `b`: what they are; `c`; and others"
    const items = said.split('; ').map((item) => (/^(`[^`]+`(, )?)+/.exec(item) ?? [''])[0])
    const values = items.flatMap(quoted)
    return quoted(labels).map((label) => ({ label, heading, of, values, isOpen: items.includes('') }))
  })
}

/** The row that tells of a label of a metric. */
export function rowOf(
  rows: readonly DocumentedLabel[],
  { name, heading }: Pick<DocumentedMetric, 'name' | 'heading'>,
  label: string,
): DocumentedLabel | undefined {
  const near = rows.filter((row) => row.heading === heading && row.label === label)
  return near.find(({ of }) => of === name) ?? near.find(({ of }) => of === undefined)
}

/** Metrics that are said to be in no dashboard and no alert. */
export async function metricsByHand(): Promise<readonly string[]> {
  const [, section = ''] = (await page).split('## In no dashboard and no alert\n')
  const [list = ''] = section.split('\n## ')
  return list
    .split(/\n- /)
    .slice(1)
    .flatMap((item) => quoted(item.split(':')[0] ?? ''))
}

async function linesBelow(): Promise<readonly (readonly [heading: string, line: string])[]> {
  let heading = ''
  return (await page).split('\n').map((line) => {
    if (/^#+ /.test(line)) heading = line
    return [heading, line] as const
  })
}

const quoted = (text: string): readonly string[] =>
  [...text.matchAll(/`([^`]+)`/g)].map(([, each = '']) => each)
