import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { DomainError } from '#core/errors.ts'
import { MemoryControlLog } from '#core/stores/memory-control-log.ts'
import { MemoryIdentityStore } from '#core/stores/memory-identity-store.ts'
import { MemoryPurgeMarks } from '#core/stores/memory-purge-marks.ts'
import { memoryCluster } from '../../broker/organizations/cluster.ts'
import { startTestBroker } from '../fixtures/broker.ts'
import { anOrganizationId as organization } from '../fixtures/records.ts'

const away = new DomainError('store-unavailable', 'away')

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

test('a start that can not follow the control log leaves nothing that goes on', async () => {
  const controlLog = new MemoryControlLog()
  controlLog.follow = () => Promise.reject(away)
  const purges = new MemoryPurgeMarks()
  const looks = vi.spyOn(purges, 'all')
  const start = startTestBroker({ controlLog, purges })
  await expect(start).rejects.toMatchObject({ code: 'store-unavailable' })
  await vi.advanceTimersByTimeAsync(60_000)
  expect([vi.getTimerCount(), looks.mock.calls.length]).toEqual([0, 0])
})

test('nor does one that takes no place among the replicas, and has heard of an organization by then', async () => {
  const controlLog = new MemoryControlLog()
  const identities = new MemoryIdentityStore(controlLog)
  identities.get = () => Promise.reject(away)
  const cluster = memoryCluster()
  const name = 'organization'
  cluster.enlist = async () => {
    const position = await controlLog.append({ type: name, organization, name })
    await controlLog.applied([position])
    throw away
  }
  const start = startTestBroker({ controlLog, identities, cluster })
  await expect(start).rejects.toMatchObject({ code: 'store-unavailable' })
  expect(vi.getTimerCount()).toBe(0)
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
