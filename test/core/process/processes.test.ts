import { createServer } from 'node:http'
import { Counter, Registry } from 'prom-client'
import { describe, expect, test } from 'vitest'
import type { Log } from '#core/process/logger.ts'
import { errorFields, silentLog } from '#core/process/logger.ts'
import { listenOn, startProbeServer } from '#core/process/probe-server.ts'
import { Shutdown } from '#core/process/shutdown.ts'

describe('the probe server', () => {
  const start = (readiness: Record<string, () => string | undefined>) => {
    const registry = new Registry()
    new Counter({ registers: [registry], name: 'things_total', help: 'Things' }).inc(3)
    return startProbeServer({ host: '127.0.0.1', port: 0, registry, readiness })
  }

  test('is ready when every part is, and says which is not', async () => {
    let reason: string | undefined
    const probes = await start({ redis: () => reason, other: () => undefined })
    const ask = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${probes.port}${path}`)
      return [response.status, await response.text()]
    }
    expect(await ask('/readyz')).toEqual([200, 'ok\n'])
    reason = 'not reachable'
    expect(await ask('/readyz')).toEqual([503, 'redis: not reachable\n'])
    expect(await ask('/healthz')).toEqual([200, 'ok\n'])
    expect((await ask('/metrics'))[1]).toContain('things_total 3')
    expect((await ask('/constructor'))[0]).toBe(404)
    await probes.close()
  })

  test('says which port is taken', async () => {
    const taken = createServer()
    const port = await listenOn(taken, 0, '127.0.0.1')
    await expect(
      startProbeServer({ host: '127.0.0.1', port, registry: new Registry(), readiness: {} }),
    ).rejects.toMatchObject({ code: 'port-in-use', message: expect.stringContaining(String(port)) })
    taken.close()
  })
})

describe('a shutdown', () => {
  test('runs its steps once, the last added first, also when one fails', async () => {
    const ran: string[] = []
    const failures: object[] = []
    const log: Log = { ...silentLog, error: (fields) => void failures.push(fields) }
    const shutdown = new Shutdown(log)
    shutdown.add('first', async () => void ran.push('first'))
    shutdown.add('second', () => {
      ran.push('second')
      throw new Error('stuck')
    })
    shutdown.add('third', () => void ran.push('third'))
    expect(shutdown.signal.aborted).toBe(false)
    await Promise.all([shutdown.run(), shutdown.run()])
    expect(ran).toEqual(['third', 'second', 'first'])
    expect(failures).toEqual([{ step: 'second', error: 'Error: stuck' }])
    expect(shutdown.signal.aborted).toBe(true)
  })
})

test('an error in the log has its message, code and cause, and no other property', () => {
  const error = Object.assign(new Error('failed', { cause: new Error('deeper') }), {
    code: 'x',
    password: 'hunter2',
  })
  expect(errorFields(error)).toEqual({ error: 'Error: failed', code: 'x', cause: 'deeper' })
  expect(errorFields('text')).toEqual({ error: 'text' })
})
