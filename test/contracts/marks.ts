import { describe, expect, test } from 'vitest'
import type { Marks } from '#core/stores/marks.ts'
import { anOrganizationId, anotherOrganizationId } from '../fixtures/records.ts'

/** Every store of marks runs this. `pass` lets so many seconds go by for it. */
export function describeMarks(
  name: string,
  create: () => Promise<{ readonly marks: Marks; readonly pass: (seconds: number) => Promise<void> }>,
): void {
  describe(`${name}:`, () => {
    test('a mark is there once it was put, in its organization, under its name', async () => {
      const { marks } = await create()
      expect(await marks.has(anOrganizationId, 'a')).toBe(false)
      await marks.put(anOrganizationId, 'a', 60)
      expect(await marks.has(anOrganizationId, 'a')).toBe(true)
      expect(await marks.has(anOrganizationId, 'b')).toBe(false)
      expect(await marks.has(anotherOrganizationId, 'a')).toBe(false)
    })

    test('it ends when its time is over, counted from when it was put last', async () => {
      const { marks, pass } = await create()
      await marks.put(anOrganizationId, 'ends', 1)
      await marks.put(anOrganizationId, 'stays', 1)
      await marks.put(anOrganizationId, 'stays', 60)
      await pass(1.1)
      expect(await marks.has(anOrganizationId, 'ends')).toBe(false)
      expect(await marks.has(anOrganizationId, 'stays')).toBe(true)
    })
  })
}
