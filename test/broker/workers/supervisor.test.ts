import { join } from 'node:path'
import { Registry } from 'prom-client'
import { afterEach, expect, test, vi } from 'vitest'
import { type Log, silentLog } from '#core/process/logger.ts'
import { Supervisor } from '../../../broker/workers/supervisor.ts'
import { eventually } from '../../fixtures/eventually.ts'

const program = join(import.meta.dirname, '../../fixtures/worker-program.ts')
const lines: { readonly fields: Record<string, unknown>; readonly message: string }[] = []
const keep = (fields: object, message: string): void => void lines.push({ fields: { ...fields }, message })
const log: Log = { ...silentLog, info: keep, error: keep }
let supervisor: Supervisor

afterEach(async () => {
  vi.unstubAllEnvs()
  await supervisor.close()
  lines.length = 0
})

async function start(count = 2): Promise<Registry> {
  const registry = new Registry()
  const times = { firstRestartMs: 50, longestRestartMs: 200, lookMs: 50, mostSilentMs: 500 }
  supervisor = new Supervisor({ count, program, log, registry, times })
  await supervisor.start()
  return registry
}

/** Process ids, those that were started last at last. */
const pids = (): number[] =>
  lines.filter(({ message }) => message === 'a worker was started').map(({ fields }) => Number(fields['pid']))

const restarts = (): unknown[] =>
  lines.filter(({ message }) => message === 'a worker has ended').map(({ fields }) => fields['restartMs'])

test('workers are asked for all that the program is asked', async () => {
  await start()
  expect(await supervisor.answer('/readyz')).toMatchObject({ status: 200 })
  expect(await supervisor.answer('/healthz')).toMatchObject({ status: 200 })
  expect(await supervisor.answer('/other')).toMatchObject({ status: 404 })
  const { body } = await supervisor.answer('/metrics')
  expect(body).toContain('# TYPE a gauge\na{worker="1"} 1\na{worker="2"} 1\n')
  expect(body).toContain('cloudsignal_broker_workers 2')
})

test('one that is not ready makes all not ready, and is named', async () => {
  vi.stubEnv('TEST_WORKER_PROBLEM', 'redis: not reachable')
  await start()
  expect(await supervisor.answer('/readyz')).toMatchObject({
    status: 503,
    body: 'worker 2: redis: not reachable\n',
  })
})

test('one that ends is replaced, later each time, and the others serve meanwhile', async () => {
  const registry = await start()
  for (let end = 1; end <= 4; end += 1) {
    process.kill(pids().at(end === 1 ? 0 : -1) ?? 0, 'SIGKILL')
    await eventually('it has ended', () => restarts().length === end)
    expect(await supervisor.answer('/readyz')).toMatchObject({ status: 200 })
    await eventually('there is another', () => pids().length === 2 + end)
  }
  expect(restarts()).toEqual([50, 100, 200, 200])
  await eventually('it is ready', async () => (await registry.metrics()).includes('broker_workers 2'))
  expect(await registry.metrics()).toContain('cloudsignal_broker_worker_restarts_total 4')
})

test('one that hangs is killed and replaced', async () => {
  await start()
  process.kill(pids()[0] ?? 0, 'SIGSTOP')
  await eventually('there is another', () => pids().length === 3)
  expect(lines.map(({ message }) => message)).toContain('a worker does not answer, and is killed')
})

test('none starts where one can not', async () => {
  vi.stubEnv('TEST_WORKER_FAILS', '2')
  await expect(start()).rejects.toThrow('worker 2 ended with 3')
})

test('all end with the supervisor', async () => {
  await start()
  await supervisor.close()
  for (const pid of pids()) expect(() => process.kill(pid, 0)).toThrow('ESRCH')
})
