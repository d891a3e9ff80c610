import { readFile, writeFile } from 'node:fs/promises'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Makes a file what it should be. With --check it only compares, and the process fails when they differ. */
export async function generateFile(file: URL, wanted: string): Promise<void> {
  const present = await readFile(file, 'utf8').catch(() => undefined)
  if (present === wanted) return
  if (!process.argv.includes('--check')) return writeFile(file, wanted)
  const path = relative(process.cwd(), fileURLToPath(file))
  console.error(`${path} is not up to date: run npm run generate`)
  process.exitCode = 1
}
