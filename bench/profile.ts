import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The parts of a .cpuprofile that are read. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

const root = join(import.meta.dirname, '..')
const shown = 25
const shownFiles = 12

/** Where the time of each profile in a directory went, by function, without what it was idle. */
export async function describeProfiles(directory: string): Promise<readonly string[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.cpuprofile'))
  const texts = await Promise.all(
    names.map(async (name) => [name, await readFile(join(directory, name), 'utf8')] as const),
  )
  return texts.flatMap(([name, text]) => [name, ...describeProfile(JSON.parse(text) as CpuProfile)])
}

function describeProfile(profile: CpuProfile): readonly string[] {
  const places = new Map(profile.nodes.map(({ id, callFrame }) => [id, placeOf(callFrame)]))
  const byFunction = new Map<string, number>()
  const byFile = new Map<string, number>()
  let busy = 0
  for (const [index, id] of profile.samples.entries()) {
    const { name, file, line } = places.get(id) ?? { name: '(unknown)', file: '', line: 0 }
    const spent = profile.timeDeltas[index] ?? 0
    if (name === '(idle)') continue
    busy += spent
    add(byFunction, file === '' ? name : `${name}  ${file}:${line}`, spent)
    add(byFile, file === '' ? name : (/^node_modules\/[^/]+/.exec(file)?.[0] ?? file), spent)
  }
  const listed = (times: ReadonlyMap<string, number>, count: number): string[] =>
    [...times]
      .toSorted(([, left], [, right]) => right - left)
      .slice(0, count)
      .map(([what, spent]) => `  ${((spent / busy) * 100).toFixed(1).padStart(5)} %  ${what}`)
  return [
    `  busy for ${(busy / 1e6).toFixed(1)} s; time spent in functions themselves, by function:`,
    ...listed(byFunction, shown),
    '  by file or package:',
    ...listed(byFile, shownFiles),
  ]
}

function add(times: Map<string, number>, key: string, spent: number): void {
  times.set(key, (times.get(key) ?? 0) + spent)
}

function placeOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): {
  readonly name: string
  readonly file: string
  readonly line: number
} {
  const file = url.startsWith('file:') ? relative(root, fileURLToPath(url)) : url
  return { name: functionName === '' ? '(anonymous)' : functionName, file, line: lineNumber + 1 }
}
