import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * Makes the files of a directory that end like these what they should be, and removes others. With --check it only
 * compares, and the process fails when they differ.
 */
export async function generateDirectory(
  directory: URL,
  ending: string,
  wanted: ReadonlyMap<string, string>,
): Promise<void> {
  const present = await readDirectory(directory, ending)
  const names = [...new Set([...wanted.keys(), ...present.keys()])].toSorted()
  const different = names.filter((name) => wanted.get(name) !== present.get(name))
  if (process.argv.includes('--check')) {
    if (different.length === 0) return
    const path = relative(process.cwd(), fileURLToPath(directory))
    console.error(`${path} is not up to date in ${different.join(', ')}: run npm run generate`)
    process.exitCode = 1
    return
  }
  await mkdir(directory, { recursive: true })
  for (const name of different) {
    const text = wanted.get(name)
    if (text === undefined) await rm(new URL(name, directory))
    else await writeFile(new URL(name, directory), text)
  }
}

/** Files that end like this, by name; none where there is no directory. */
export async function readDirectory(directory: URL, ending: string): Promise<ReadonlyMap<string, string>> {
  const files = (await readdir(directory).catch(() => [])).filter((name) => name.endsWith(ending))
  const texts = files.map(async (name) => [name, await readFile(new URL(name, directory), 'utf8')] as const)
  return new Map(await Promise.all(texts))
}
