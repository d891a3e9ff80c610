import { access, readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'

const programs = ['core', 'operator', 'broker', 'token-service']

async function linksOf(page: string): Promise<string[]> {
  const text = await readFile(page, 'utf8')
  const links = [...text.matchAll(/\]\(([^)#:]+)\)/g)].map((match) => match[1] ?? '')
  return links.map((link) => join(dirname(page), link))
}

describe('the documents', () => {
  test('link to nothing that is not there', async () => {
    const pages = (await readdir('docs', { recursive: true })).filter((name) => name.endsWith('.md'))
    for (const page of ['README.md', ...pages.map((name) => join('docs', name))]) {
      for (const link of await linksOf(page))
        await expect(access(link), `${page} -> ${link}`).resolves.toBeUndefined()
    }
  })

  test('name every folder of the programs in the source map', async () => {
    const mapped = new Set((await linksOf('docs/architecture.md')).map((link) => link.replace(/\/$/, '')))
    for (const program of programs) {
      const entries = await readdir(program, { withFileTypes: true })
      const folders = entries.filter((entry) => entry.isDirectory()).map((entry) => join(program, entry.name))
      expect([...mapped]).toEqual(expect.arrayContaining(folders))
    }
  })
})
