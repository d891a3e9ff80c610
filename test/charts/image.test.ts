import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { podOf, programs, render } from './render.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../', import.meta.url))
const dockerfile = await readFile(join(root, 'Dockerfile'), 'utf8')

/** What the last stage takes from the checkout. */
const copied = dockerfile
  .split(/^FROM /m)
  .at(-1)
  ?.match(/^COPY (?!--)\S+/gm)
  ?.map((line) => line.replace('COPY ', ''))

/** Laid out as the Dockerfile does, with the packages that `npm ci --omit=dev` leaves: no container is needed. */
describe('the image', () => {
  let directory: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'cloudsignal-image-'))
    for (const path of copied ?? []) await cp(join(root, path), join(directory, path), { recursive: true })
    for (const name of await productionPackages()) {
      const link = join(directory, 'node_modules', name)
      await mkdir(dirname(link), { recursive: true })
      await symlink(join(root, 'node_modules', name), link)
    }
  })
  afterAll(() => rm(directory, { recursive: true, force: true }))

  test.each(programs)('holds all that the %s loads, and shows its settings', async (program) => {
    const [container] = podOf(await render(), program).spec.containers
    const { stdout } = await run(process.execPath, [...container.args, '--help'], { cwd: directory })
    expect(stdout).toContain('CLOUDSIGNAL_REDIS_URL')
  })

  test.each(programs)('lets the %s name all that is missing at once and exit with 2', async (program) => {
    const environment = { CLOUDSIGNAL_LOG_LEVEL: 'loud', CLOUDSIGNAL_PROBE_PRT: '1' }
    const ended = run(process.execPath, [`${program}/main.ts`], { cwd: directory, env: environment })
    const failure = await ended.then(
      () => undefined,
      (error: { readonly code: number; readonly stderr: string }) => error,
    )
    expect(failure?.code).toBe(2)
    for (const name of ['CLOUDSIGNAL_REDIS_URL', 'CLOUDSIGNAL_LOG_LEVEL', 'CLOUDSIGNAL_PROBE_PORT']) {
      expect(failure?.stderr).toContain(name)
    }
  })

  test('holds the command line', async () => {
    const { stdout } = await run(process.execPath, ['cli/main.ts', 'explain', '--help'], { cwd: directory })
    expect(stdout).toContain('CLOUDSIGNAL_CLI_API_KEY')
  })

  test('is built with what Node makes of the sources, and its programs start from that', async () => {
    const fill = /^RUN (for program in .*)$/m.exec(dockerfile)?.[1] ?? ''
    expect(dockerfile).toContain('ENV NODE_COMPILE_CACHE=/app/.compile-cache\n')
    const env = { PATH: process.env['PATH'], NODE_COMPILE_CACHE: join(directory, '.compile-cache') }
    await run('sh', ['-e', '-c', fill], { cwd: directory, env })
    for (const program of [...programs, 'cli']) {
      const told = { ...env, NODE_DEBUG_NATIVE: 'COMPILE_CACHE' }
      // Into a file: of so much, a pipe loses what it has no room for.
      const file = join(directory, `${program}.told`)
      const parameters = [process.execPath, `${program}/main.ts`, file]
      await run('sh', ['-c', '"$0" "$1" --help >"$2" 2>&1', ...parameters], { cwd: directory, env: told })
      const read = (await readFile(file, 'utf8'))
        .split('\n')
        .filter((line) => line.includes('reading cache from'))
      expect(read.length).toBeGreaterThan(20)
      expect(read.filter((line) => !line.includes('... success'))).toEqual([])
    }
  })

  test('runs as somebody who is not root, named by number', () => {
    expect(dockerfile).toMatch(/^USER [1-9]\d*:[1-9]\d*$/m)
  })

  test('is built from nothing that .dockerignore keeps out', async () => {
    const ignored = (await readFile(join(root, '.dockerignore'), 'utf8')).trim().split('\n')
    const letIn = ignored.filter((line) => line.startsWith('!')).map((line) => line.slice(1))
    expect(ignored).toContain('*')
    expect(letIn.toSorted()).toEqual([...(copied ?? []), 'package-lock.json', '.npmrc'].toSorted())
  })
})

async function productionPackages(): Promise<readonly string[]> {
  const lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, { readonly dev?: boolean }>>
  }
  return Object.entries(lock.packages)
    .filter(([path, { dev }]) => /^node_modules\/(@[^/]+\/)?[^/]+$/.test(path) && dev !== true)
    .map(([path]) => path.replace('node_modules/', ''))
}
