import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { DomainError } from '#core/errors.ts'
import { MemoryControlLog } from '#core/stores/memory-control-log.ts'
import { MemoryPurgeMarks } from '#core/stores/memory-purge-marks.ts'
import { startTestBroker } from '../fixtures/broker.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

test('a start that can not follow the control log leaves nothing that goes on', async () => {
  const controlLog = new MemoryControlLog()
  controlLog.follow = () => Promise.reject(new DomainError('store-unavailable', 'away'))
  const purges = new MemoryPurgeMarks()
  const looks = vi.spyOn(purges, 'all')
  const start = startTestBroker({ controlLog, purges })
  await expect(start).rejects.toMatchObject({ code: 'store-unavailable' })
  await vi.advanceTimersByTimeAsync(60_000)
  expect([vi.getTimerCount(), looks.mock.calls.length]).toEqual([0, 0])
})

test('one that can looks for what organizations have left, until the broker is closed', async () => {
  const purges = new MemoryPurgeMarks()
  const looks = vi.spyOn(purges, 'all')
  const broker = await startTestBroker({ purges })
  await vi.advanceTimersByTimeAsync(60_000)
  const seen = looks.mock.calls.length
  expect(seen).toBeGreaterThanOrEqual(12)
  await broker.stop()
  await vi.advanceTimersByTimeAsync(60_000)
  expect(looks.mock.calls.length).toBe(seen)
})
