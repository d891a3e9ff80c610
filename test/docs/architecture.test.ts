import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const programs = ['core', 'operator', 'broker', 'token-service']

test('the source map names every folder of the programs', async () => {
  const text = await readFile('docs/architecture.md', 'utf8')
  const mapped = [...text.matchAll(/\]\(\.\.\/([^)]+?)\/?\)/g)].map(([, path]) => path)
  for (const program of programs) {
    const entries = await readdir(program, { withFileTypes: true })
    const folders = entries.filter((entry) => entry.isDirectory()).map((entry) => join(program, entry.name))
    expect(mapped).toEqual(expect.arrayContaining(folders))
  }
})
