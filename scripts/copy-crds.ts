/** Copies crds/ into the chart, since helm packs nothing from outside of it. With --check it only compares. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'

const source = new URL('../crds/', import.meta.url)
const target = new URL('../charts/cloudsignal/files/crds/', import.meta.url)

const wanted = await readDirectory(source)
const present = await readDirectory(target)
const names = [...new Set([...wanted.keys(), ...present.keys()])]
const different = names.filter((name) => wanted.get(name) !== present.get(name))

if (wanted.size === 0) {
  console.error('crds/ is empty: run npm run generate')
  process.exitCode = 1
} else if (!process.argv.includes('--check')) {
  await mkdir(target, { recursive: true })
  for (const name of different) {
    const text = wanted.get(name)
    if (text === undefined) await rm(new URL(name, target))
    else await writeFile(new URL(name, target), text)
  }
} else if (different.length > 0) {
  console.error(
    `charts/cloudsignal/files/crds differs from crds in ${different.join(', ')}: run npm run generate`,
  )
  process.exitCode = 1
}

async function readDirectory(directory: URL): Promise<ReadonlyMap<string, string>> {
  const files = (await readdir(directory).catch(() => [])).filter((name) => name.endsWith('.yaml'))
  const texts = files.map(async (name) => [name, await readFile(new URL(name, directory), 'utf8')] as const)
  return new Map(await Promise.all(texts))
}
