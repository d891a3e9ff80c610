import { execFile } from 'node:child_process'
import { createServer } from 'node:http'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { commonSettings } from '#core/process/common-settings.ts'
import { listenOn } from '#core/process/probe-server.ts'
import { makeCertificate } from '../fixtures/certificates.ts'
import { eventually } from '../fixtures/eventually.ts'
import { copiedPaths, dockerfile, layOutImage } from '../fixtures/image.ts'
import { startProgram } from '../fixtures/program.ts'
import { freePort } from '../fixtures/redis-server.ts'
import { podOf, programs, render } from './render.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../', import.meta.url))
describe('the image', () => {
  let directory: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'cloudsignal-image-'))
    await layOutImage(directory)
  }, 120_000)
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

  test('holds every package that its programs need, and none that only development does', async () => {
    const lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')) as {
      readonly packages: Readonly<Record<string, Readonly<Record<string, unknown>>>>
    }
    const isThere = (path: string): boolean => existsSync(join(directory, path))
    const packages = Object.entries(lock.packages).filter(([path]) => path !== '')
    const ofDevelopment = packages.filter(([, { dev }]) => dev === true).map(([path]) => path)
    const ofPrograms = packages
      .filter(([, { dev, devOptional, optional }]) => (dev ?? devOptional ?? optional) === undefined)
      .map(([path]) => path)
    expect(ofDevelopment.filter(isThere)).toEqual([])
    expect(ofDevelopment).toContain('node_modules/vitest')
    expect(ofPrograms.filter((path) => !isThere(path))).toEqual([])
    expect(ofPrograms).toContain('node_modules/fastify')
  })

  test.each([
    ['operator', '0.0.0.0'],
    ['broker', '127.0.0.2'],
    ['token-service', '127.0.0.1'],
  ] as const)(
    'is healthy while the %s runs with its probes on %s, and not when it has ended',
    async (program, host) => {
      const certificate = await makeCertificate()
      const env = {
        CLOUDSIGNAL_REDIS_URL: 'redis://127.0.0.1:1',
        CLOUDSIGNAL_PROBE_HOST: host,
        CLOUDSIGNAL_PROBE_PORT: String(await freePort()),
        CLOUDSIGNAL_OPERATOR_KUBECONFIG: await kubeconfigOfNobody(directory),
        CLOUDSIGNAL_BROKER_MQTTS_PORT: '0',
        CLOUDSIGNAL_BROKER_WSS_PORT: '0',
        CLOUDSIGNAL_BROKER_TLS_CERT_FILE: certificate.certFile,
        CLOUDSIGNAL_BROKER_TLS_KEY_FILE: certificate.keyFile,
        CLOUDSIGNAL_TOKEN_SERVICE_HTTP_PORT: '0',
      }
      const isHealthy = (): Promise<boolean> => isHealthyWith(env)
      expect(await isHealthy()).toBe(false)
      const running = startProgram(program, env, directory)
      await eventually(`the ${program} is healthy`, isHealthy, 20_000).finally(() => running.kill())
      expect(await isHealthy()).toBe(false)
      await certificate.remove()
    },
  )

  test.each([
    [200, true],
    [503, false],
  ])('that asks /healthz and is answered %i is healthy: %s', async (status, expected) => {
    const asked: (string | undefined)[] = []
    const server = createServer((request, response) => {
      asked.push(request.url)
      response.writeHead(status).end()
    })
    const port = await listenOn(server, 0, '127.0.0.1')
    expect(await isHealthyWith({ CLOUDSIGNAL_PROBE_PORT: String(port) })).toBe(expected)
    expect(asked).toEqual(['/healthz'])
    server.close()
  })

  test('looks for its health where programs have it when nothing else is said', () => {
    const { probeHost, probePort } = commonSettings
    expect(healthCheck.join(' ')).toContain(`${probePort.name} || ${probePort.default}`)
    expect(healthCheck.join(' ')).toContain(`${probeHost.name} || '127.0.0.1'`)
    // Every address of the machine.
    expect(probeHost.default).toBe('0.0.0.0')
  })

  test('runs as somebody who is not root, named by number', () => {
    expect(dockerfile).toMatch(/^USER [1-9]\d*:[1-9]\d*$/m)
  })

  test('is built from nothing that .dockerignore keeps out', async () => {
    const ignored = (await readFile(join(root, '.dockerignore'), 'utf8')).trim().split('\n')
    const letIn = ignored.filter((line) => line.startsWith('!')).map((line) => line.slice(1))
    expect(ignored).toContain('*')
    expect(letIn.toSorted()).toEqual([...copiedPaths, 'package-lock.json', '.npmrc'].toSorted())
  })
})

const [, healthCheckText = '[]'] = /^HEALTHCHECK .* CMD (\[.*\])$/m.exec(dockerfile) ?? []
const healthCheck = JSON.parse(healthCheckText) as readonly string[]

/** What an engine learns that runs the HEALTHCHECK of the Dockerfile in a container with this environment. */
function isHealthyWith(env: Readonly<Record<string, string>>): Promise<boolean> {
  const [program, ...parameters] = healthCheck
  if (program !== 'node') throw new Error('the image has no other program')
  return run(process.execPath, parameters, { env }).then(
    () => true,
    () => false,
  )
}

/** Of an API server that is not there. */
async function kubeconfigOfNobody(directory: string): Promise<string> {
  const path = join(directory, 'kubeconfig')
  const named = { name: 'nobody' }
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ ...named, cluster: { server: 'http://127.0.0.1:1' } }],
    users: [{ ...named, user: {} }],
    contexts: [{ ...named, context: { cluster: 'nobody', user: 'nobody' } }],
    'current-context': 'nobody',
  }
  await writeFile(path, JSON.stringify(config))
  return path
}
