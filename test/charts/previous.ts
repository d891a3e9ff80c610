import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { runHelm } from './render.ts'

const directory = fileURLToPath(new URL('previous', import.meta.url))
const packages = (await readdir(directory)).filter((name) => name.endsWith('.tgz'))

/** The package of the version before this one, from which people upgrade. */
export const previousChart = join(directory, packages[0] ?? 'there is none')
/** The sources of its programs. */
export const previousPrograms = join(
  directory,
  `programs-${/-([\d.]+)\.tgz$/.exec(packages[0] ?? '')?.[1]}.tar.gz`,
)
export const previousPackages: readonly string[] = packages

export async function versionOf(chart: string): Promise<string> {
  return (parse(await runHelm(['show', 'chart', chart])) as { readonly version: string }).version
}

type Version = readonly [major: number, minor: number, patch: number]

/** That no release fits between them, other than one that mends the earlier. */
export function isJustBefore(earlier: string, later: string): boolean {
  const [before, after] = [partsOf(earlier), partsOf(later)]
  const [major, minor, patch] = after
  if (patch > 0) return before.join('.') === [major, minor, patch - 1].join('.')
  if (minor > 0) return before[0] === major && before[1] === minor - 1
  return before[0] === major - 1
}

function partsOf(version: string): Version {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number)
  return [major, minor, patch]
}
