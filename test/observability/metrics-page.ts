import { readFile } from 'node:fs/promises'

export interface DocumentedMetric {
  readonly name: string
  readonly type: string
  readonly labels: readonly string[]
  readonly help: string
  readonly servedBy: readonly string[]
}

const row = /^\| `([^`]+)` \| (counter|gauge|histogram|summary) \| ([^|]*) \| (.*) \|$/

/** The tables of docs/metrics.md, each below a line that says which programs serve what is in it. */
export async function documentedMetrics(): Promise<readonly DocumentedMetric[]> {
  const text = await readFile(new URL('../../docs/metrics.md', import.meta.url), 'utf8')
  let servedBy: readonly string[] = []
  return text.split('\n').flatMap((line) => {
    const [, programs] = /^Served by: ([a-z, -]+)\./.exec(line) ?? []
    if (programs !== undefined) servedBy = programs.split(', ')
    const [, name, type = '', labels = '', help = ''] = row.exec(line) ?? []
    if (name === undefined) return []
    return [
      { name, type, labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label = '']) => label), help, servedBy },
    ]
  })
}
