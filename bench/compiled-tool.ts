import { createHash } from 'node:crypto'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cacheDirectory, isExecutable, makeOnce } from '../test/fixtures/test-cache.ts'

const run = promisify(execFile)

/** A program in C of this folder, compiled once for each version of its source, outside the checkout. */
export async function compiledTool(name: string, options: readonly string[] = []): Promise<string> {
  const source = join(import.meta.dirname, `${name}.c`)
  const digest = createHash('sha256')
    .update(await readFile(source))
    .update(options.join(' '))
    .digest('hex')
    .slice(0, 12)
  const directory = join(cacheDirectory, name, digest)
  const program = join(directory, name)
  await makeOnce(
    directory,
    () => isExecutable(program),
    async (partial) => {
      await run('cc', ['-O2', '-o', join(partial, name), source, ...options])
    },
  )
  return program
}
