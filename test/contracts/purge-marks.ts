import { describe, expect, test } from 'vitest'
import { isPurged, type PurgeMarks } from '#core/stores/purge-marks.ts'
import type { Tombstone } from '#core/stores/tombstone.ts'
import { anOrganizationId as org, anotherOrganizationId } from '../fixtures/records.ts'

const tombstone: Tombstone = {
  organization: org,
  id: '1700000000000001',
  at: 1_700_000_000_000,
  retains: false,
}

/** All marks of purges run this. `create` gives those that are empty and nobody else's. */
export function describePurgeMarks(name: string, create: () => Promise<PurgeMarks>): void {
  describe(`${name} keep the contract of such marks:`, () => {
    test('the last one of an organization comes back as it was', async () => {
      const marks = await create()
      expect([await marks.of(org), (await marks.all()).size]).toEqual([undefined, 0])
      await marks.mark(tombstone, 'purged', 1_700_000_000_500)
      await marks.mark(tombstone, 'settled', 1_700_000_000_700)
      const mark = { tombstone: tombstone.id, state: 'settled', at: 1_700_000_000_700 }
      expect(await marks.of(org)).toEqual(mark)
      expect(await marks.of(anotherOrganizationId)).toBeUndefined()
      expect([...(await marks.all())]).toEqual([[org, mark]])
    })

    test('only of what is removed one says that it is', async () => {
      const marks = await create()
      const said = []
      for (const state of ['deserted', 'purged', 'settled'] as const) {
        await marks.mark(tombstone, state, 1)
        said.push(isPurged(await marks.of(org), tombstone))
      }
      expect(said).toEqual([false, true, true])
      expect(isPurged(await marks.of(org), { id: '1' })).toBe(false)
    })

    test('one is forgotten, and none of a later deletion', async () => {
      const marks = await create()
      const former = { tombstone: '1', state: 'settled', at: 1 } as const
      await marks.mark(tombstone, 'purged', 2)
      await marks.forget(org, former)
      const mark = await marks.of(org)
      expect(mark).toBeDefined()
      if (mark !== undefined) await marks.forget(org, mark)
      expect(await marks.of(org)).toBeUndefined()
    })
  })
}
