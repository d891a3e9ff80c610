import { describe, expect, test } from 'vitest'
import type { ApiKeyUses } from '#core/stores/api-key-uses.ts'
import { anOrganizationId, anotherOrganizationId } from '../fixtures/records.ts'

/** Every store of uses of API keys runs this. */
export function describeApiKeyUses(name: string, create: () => Promise<ApiKeyUses>): void {
  describe(`${name}:`, () => {
    test('a key that was never used has no last use', async () => {
      expect(await (await create()).lastUse(anOrganizationId, 'uid-1')).toBeUndefined()
    })

    test('the last use is the one that was noted last, of this key in this organization', async () => {
      const uses = await create()
      await uses.note(anOrganizationId, 'uid-1', 1_800_000_000_000)
      await uses.note(anOrganizationId, 'uid-1', 1_800_000_360_000)
      await uses.note(anOrganizationId, 'uid-2', 1)
      await uses.note(anotherOrganizationId, 'uid-1', 2)
      expect(await uses.lastUse(anOrganizationId, 'uid-1')).toBe(1_800_000_360_000)
    })
  })
}
