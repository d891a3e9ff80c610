import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { prepareBench } from '../../bench/prerequisites.ts'
import { eventually } from '../fixtures/eventually.ts'
import { whyNoControlPlane } from '../fixtures/kubernetes.ts'
import { cacheDirectory } from '../fixtures/test-cache.ts'

/** As root on Debian this has installed what was missing. */
let missing: readonly string[]
const runs: Run[] = []
/** Its home marks every process that a run has started. */
let home: string

beforeAll(async () => {
  missing = await prepareBench([], console.log)
  home = await mkdtemp(join(tmpdir(), 'cloudsignal-bench-test-'))
}, 300_000)

afterAll(async () => {
  for (const { child } of runs) child.kill('SIGINT')
  if (home !== undefined) await rm(home, { recursive: true, force: true })
})

interface Run {
  readonly child: ChildProcess
  readonly output: { stdout: string; stderr: string }
  readonly ended: Promise<number | null>
}

function bench(...args: string[]): Run {
  const child = spawn(process.execPath, ['bench/main.ts', ...args], {
    env: { ...process.env, HOME: home, XDG_CACHE_HOME: dirname(cacheDirectory) },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream]?.on('data', (chunk: Buffer) => (output[stream] += chunk.toString()))
  const run = { child, output, ended: once(child, 'close').then(([code]) => code as number | null) }
  runs.push(run)
  return run
}

/** Processes that still run of those that a bench has started. */
async function leftOver(): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(
    pids.map(async (pid) => {
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
      return environment.includes(`HOME=${home}\0`) ? pid : undefined
    }),
  )
  return found.filter((pid) => pid !== undefined)
}

describe('npm run bench', () => {
  test('measures messages that arrived, at both sides, and leaves no process behind', async (context) => {
    context.skip(missing.length > 0, missing.join('; '))
    const { output, ended } = bench('qos1', '--json', '--seconds', '1', '--rounds', '1')
    expect(await ended, output.stderr).toBe(0)
    const lines = output.stdout.trimEnd().split('\n')
    expect(lines).toHaveLength(1)
    const share = expect.any(Number)
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      name: 'qos1',
      unit: 'messages/s',
      against: 'mosquitto',
      ours: expect.any(Number),
      peer: expect.any(Number),
      ratio: expect.any(Number),
      goal: 'ratio >= 4',
      holds: expect.any(Boolean),
      cpu: {
        ours: { broker: share, redis: share, generator: share },
        peer: { broker: share, generator: share },
      },
      bounded_by: { ours: expect.any(String), peer: expect.any(String) },
    })
    const { delivered } = JSON.parse(lines[0] ?? '') as { delivered: { ours: number; peer: number } }
    expect(delivered.ours).toBeGreaterThan(0)
    expect(delivered.peer).toBeGreaterThan(0)
    expect(await leftOver()).toEqual([])
  }, 90_000)

  test('measures exchanges that were answered, beside jose', async (context) => {
    context.skip(missing.length > 0, missing.join('; '))
    const { output, ended } = bench('exchange', '--json', '--seconds', '1', '--rounds', '1')
    expect(await ended, output.stderr).toBe(0)
    const result = JSON.parse(output.stdout) as { delivered: { ours: number; peer: number } }
    expect(result).toMatchObject({
      name: 'exchange',
      against: 'jose',
      goal: 'ratio >= 0.5',
      ratio: expect.any(Number),
      ratio_per_cpu: expect.any(Number),
      p99_ms: expect.any(Number),
      lost: { ours: 0, peer: 0 },
    })
    expect(result.delivered.ours).toBeGreaterThan(100)
    expect(result.delivered.peer).toBeGreaterThan(result.delivered.ours)
    expect(await leftOver()).toEqual([])
  }, 120_000)

  test.skipIf(whyNoControlPlane !== undefined)(
    'measures an operator on a real API server, which counts what it writes',
    async (context) => {
      context.skip(missing.length > 0, missing.join('; '))
      const { output, ended } = bench('reconcile-flush', '--json', '--users', '20', '--rounds', '1')
      expect(await ended, output.stderr).toBe(0)
      expect(JSON.parse(output.stdout)).toMatchObject({
        name: 'reconcile-flush',
        goal: 'seconds <= 5, api_writes <= 0',
        seconds: expect.any(Number),
        api_writes: 0,
        delivered: { ours: 20 },
        note: expect.stringMatching(/20 users, .* none with anything worse/),
      })
      expect(await leftOver()).toEqual([])
    },
    120_000,
  )

  test('measures what is in Redis of users, credentials and messages', async (context) => {
    context.skip(missing.length > 0, missing.join('; '))
    const { output, ended } = bench('redis-memory', '--json', '--users', '100')
    expect(await ended, output.stderr).toBe(0)
    const { ours, bytes } = JSON.parse(output.stdout) as { ours: number; bytes: Record<string, number> }
    expect(bytes['queued message of 256 bytes']).toBe(ours)
    // A payload is in there once.
    const [small = 0, large = 0] = ['256', '1024'].map((size) => bytes[`queued message of ${size} bytes`])
    expect(small).toBeGreaterThan(256)
    expect(large - small).toBeGreaterThan(700)
    expect(large - small).toBeLessThan(1000)
    for (const one of ['user', 'organization', 'temporary credential', 'session', 'subscription'])
      expect(bytes[one], one).toBeGreaterThan(50)
    expect(await leftOver()).toEqual([])
  }, 120_000)

  test('ends everything that it has started on Ctrl-C', async (context) => {
    context.skip(missing.length > 0, missing.join('; '))
    const { child, output, ended } = bench('qos0', '--seconds', '60')
    // This process, Redis, a broker.
    await eventually('the brokers run', async () => (await leftOver()).length >= 3, 30_000)
    child.kill('SIGINT')
    expect(await ended).toBe(130)
    expect(output.stdout).toBe('')
    await eventually('nothing is left', async () => (await leftOver()).length === 0)
  }, 60_000)

  test('says what is wrong with its arguments and runs nothing', async () => {
    const { output, ended } = bench('qos7', '--seconds=0')
    expect(await ended).toBe(2)
    expect(output.stdout).toBe('')
    expect(output.stderr).toContain('qos7: is no scenario')
    expect(output.stderr).toContain('--seconds="0": give a whole number')
  })

  test('explains itself', async () => {
    const { output, ended } = bench('--help')
    expect(await ended).toBe(0)
    expect(output.stdout).toContain('npm run bench -- [names] [options]')
    expect(output.stdout).toContain('cross-persistent')
  })
})
