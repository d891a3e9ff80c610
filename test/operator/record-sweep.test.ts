import { beforeEach, describe, expect, test } from 'vitest'
import { RecordSweep } from '../../operator/kubernetes/record-sweep.ts'
import type { HeldRemoval, SweepOutcome } from '../../operator/reconcilers/index.ts'
import type { EventNote } from '../../operator/runtime/events.ts'
import { anOrganizationId } from '../fixtures/records.ts'
import { recordingLog } from '../fixtures/recording-log.ts'

const orphan = { type: 'user', organization: anOrganizationId, name: 'ada' } as const
const held: HeldRemoval = { token: 'abc', orphans: [orphan], organizations: [anOrganizationId], records: 3 }

describe('a sweep that keeps something', () => {
  let notes: EventNote[]
  let outcome: SweepOutcome
  let annotations: Record<string, string>
  let gauge: number
  let log: ReturnType<typeof recordingLog>
  let sweep: RecordSweep
  beforeEach(() => {
    notes = []
    outcome = { removed: 0, held }
    annotations = {}
    gauge = -1
    log = recordingLog()
    sweep = new RecordSweep({
      sweepOrphans: async (isConfirmed) => (isConfirmed?.('abc') === true ? { removed: 1 } : outcome),
      lease: () => ({ metadata: { namespace: 'ns', name: 'op', annotations } }),
      record: (_, note) => void notes.push(note),
      metrics: {
        orphansRemoved() {},
        orphansHeld: (count) => void (gauge = count),
        drifted() {},
      },
      log,
    })
  })

  test('says so once, in the log, in an Event and by a gauge, with the command that confirms', async () => {
    await sweep.run()
    await sweep.run()
    expect(gauge).toBe(1)
    expect(notes).toHaveLength(1)
    expect(notes[0]).toMatchObject({ type: 'Warning', reason: 'RemovalHeld' })
    expect(notes[0]?.note).toContain(
      'kubectl -n ns annotate --overwrite lease op cloudsignal.app/confirm-removal=abc',
    )
    expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(1)
    outcome = { removed: 0, held: { ...held, token: 'def' } }
    await sweep.run()
    expect(notes).toHaveLength(2)
  })

  test('takes the confirmation from the Lease, and only that of what it keeps', async () => {
    expect(await sweep.run()).toBe(0)
    annotations['cloudsignal.app/confirm-removal'] = 'other'
    expect(sweep.hasConfirmation()).toBe(false)
    expect(await sweep.run()).toBe(0)
    annotations['cloudsignal.app/confirm-removal'] = 'abc'
    expect(sweep.hasConfirmation()).toBe(true)
    expect(await sweep.run()).toBe(1)
    expect(gauge).toBe(0)
    expect(sweep.hasConfirmation()).toBe(false)
  })
})

test('two sweeps never run at once, and one that failed stands in nobody’s way', async () => {
  const running: string[] = []
  let turn = 0
  const sweep = new RecordSweep({
    async sweepOrphans() {
      const own = String((turn += 1))
      running.push(`begin ${own}`)
      await new Promise((resolve) => setImmediate(resolve))
      running.push(`end ${own}`)
      if (own === '1') throw new Error('away')
      return { removed: 0 }
    },
    lease: () => undefined,
    record() {},
    metrics: { orphansRemoved() {}, orphansHeld() {}, drifted() {} },
    log: recordingLog(),
  })
  const first = sweep.run()
  const second = sweep.run()
  await expect(first).rejects.toThrow('away')
  await second
  expect(running).toEqual(['begin 1', 'end 1', 'begin 2', 'end 2'])
})
