import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** A text of the repository that people read. */
export interface Page {
  /** From the root of the repository. */
  readonly path: string
  readonly text: string
}

/** What pages may refer to. */
export interface Referents {
  /** Anchors of the Markdown pages, by path. */
  readonly anchors: ReadonlyMap<string, ReadonlySet<string>>
  /** What values.yaml holds. */
  readonly values: Readonly<Record<string, unknown>>
  /** Of package.json. */
  readonly scripts: ReadonlySet<string>
  /** Environment variables that some program or test reads. */
  readonly settings: ReadonlySet<string>
  /** Families of metrics. */
  readonly metrics: ReadonlySet<string>
}

type Check = (page: Page, referents: Referents) => readonly (string | undefined)[]

const checks: readonly Check[] = [links, files, values, scripts, settings, metrics]

/** What the page refers to and is not there. */
export function missingIn(page: Page, referents: Referents): readonly string[] {
  return checks.flatMap((check) => check(page, referents)).filter((problem) => problem !== undefined)
}

/** As GitHub makes them of headings; those given in HTML too. */
export function anchorsOf(text: string): ReadonlySet<string> {
  const anchors = new Set<string>()
  for (const [, title = ''] of withoutBlocks(text).matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const base = title
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(/\s/g, '-')
    let anchor = base
    for (let count = 1; anchors.has(anchor); count += 1) anchor = `${base}-${count}`
    anchors.add(anchor)
  }
  for (const [, name = ''] of text.matchAll(/<a (?:id|name)="([^"]+)"/g)) anchors.add(name)
  return anchors
}

function withoutBlocks(text: string): string {
  return text.replaceAll(/^( *)```[^]*?^\1```$/gm, '')
}

/** Only Markdown has links. */
function links({ path, text }: Page, { anchors }: Referents): readonly (string | undefined)[] {
  if (!path.endsWith('.md')) return []
  const targets = withoutBlocks(text).matchAll(/\]\(<?([^)>\s]+)>?(?: "[^"]*")?\)/g)
  return [...targets].map(([, target = '']) => {
    if (/^[a-z]+:/.test(target)) return undefined
    const [file = '', anchor] = target.split('#')
    const found = file === '' ? path : join(dirname(path), decodeURI(file))
    if (file !== '' && !existsSync(found)) return `links to ${target}, which is not there`
    if (anchor === undefined || !found.endsWith('.md')) return undefined
    return anchors.get(found)?.has(anchor) === true ? undefined : `links to ${target}: no such heading`
  })
}

const folders = readdirSync('.', { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && /^[a-z]/.test(entry.name) && entry.name !== 'node_modules')
  .map(({ name }) => name)
const file = new RegExp(String.raw`(?<![\w./@-])(?:${folders.join('|')})/[\w./*-]*[\w*]`, 'g')

/** Paths from the root, in prose and in commands; one of a test may leave out its ending. */
function files({ text }: Page): readonly (string | undefined)[] {
  return [...text.replaceAll(/\]\([^)]*\)/g, ']').matchAll(file)].map(([path]) =>
    // bench/... are topics of its scenarios, where they are no files.
    path.includes('*') || /^bench\/[^.]*$/.test(path) || existsSync(path) || existsSync(`${path}.test.ts`)
      ? undefined
      : `names ${path}, which is not there`,
  )
}

/** `broker.tls.secretName` and `crds.install=false`, whose first part is one of values.yaml. */
function values({ text }: Page, { values }: Referents): readonly (string | undefined)[] {
  const named = text.matchAll(/(?:`|--set(?:-string|-json)? )([A-Za-z]+(?:\.[A-Za-z]+)+)(?=[`=:,[])/g)
  return [...named].map(([, path = '']) => {
    const [first = '', ...rest] = path.split('.')
    return !(first in values) || hasValue(values[first], rest)
      ? undefined
      : `names the value ${path}, which the chart does not have`
  })
}

/** An empty object or list in values.yaml takes anything. */
function hasValue(value: unknown, path: readonly string[]): boolean {
  const [name, ...rest] = path
  if (name === undefined) return true
  if (typeof value !== 'object' || value === null) return false
  if (Object.keys(value).length === 0) return true
  return name in value && hasValue((value as Readonly<Record<string, unknown>>)[name], rest)
}

function scripts({ text }: Page, { scripts }: Referents): readonly (string | undefined)[] {
  const run = [...text.matchAll(/\bnpm (?:run (?:-s )?([a-z][\w:-]*)|(start|test)\b)/g)]
  return run.map(([, name, short = '']) =>
    scripts.has(name ?? short) ? undefined : `runs npm run ${name ?? short}, which is no script`,
  )
}

/** A page whose own code reads a variable may call it as it likes. */
function settings({ text }: Page, { settings }: Referents): readonly (string | undefined)[] {
  const own = new Set(
    [...text.matchAll(/(?:\$\{?|process\.env\.|process\.env\[')(CLOUDSIGNAL_\w+)/g)].map(([, name]) => name),
  )
  return [...text.matchAll(/\bCLOUDSIGNAL_[A-Z0-9_]*[A-Z0-9]/g)].map(([name]) =>
    settings.has(name) || own.has(name) ? undefined : `names ${name}, which nothing reads`,
  )
}

function metrics({ text }: Page, { metrics }: Referents): readonly (string | undefined)[] {
  return [...text.matchAll(/\bcloudsignal_(?:broker|operator|token_service)_[a-z_]+/g)].map(([name]) => {
    const family = name.replace(/_(?:bucket|sum|count)$/, '')
    return metrics.has(name) || metrics.has(family)
      ? undefined
      : `names the metric ${name}, which is not there`
  })
}
