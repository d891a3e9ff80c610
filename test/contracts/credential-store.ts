import { describe, expect, test } from 'vitest'
import type { ControlEntry } from '#core/stores/control-log.ts'
import type { CredentialStore } from '#core/stores/credential-store.ts'
import { aCredential, anOrganizationId, anotherOrganizationId } from '../fixtures/records.ts'

export interface CredentialStoreUnderTest {
  readonly store: CredentialStore
  readonly log: readonly ControlEntry[]
  /** Lets so much time pass for the store. */
  pass(ms: number): Promise<void>
}

/** Every credential store runs this. `create` gives one that is empty and nobody else's. */
export function describeCredentialStore(name: string, create: () => Promise<CredentialStoreUnderTest>): void {
  describe(`${name} keeps the contract of a credential store:`, () => {
    const org = anOrganizationId
    const record = aCredential('tmp_1', 'secret', {
      attributes: { user_id: 'Zoë "q"', email: 'z@example.com' },
    })

    test('a credential comes back as it was made, with its times', async () => {
      const { store } = await create()
      const issued = await store.create(org, 'tmp_1', record, 60)
      expect(issued).toEqual({ ...record, issuedAt: issued.issuedAt, expiresAt: issued.issuedAt + 60_000 })
      expect(await store.get(org, 'tmp_1')).toEqual(issued)
    })

    test('it belongs to its organization and is found by its exact name', async () => {
      const { store } = await create()
      await store.create(org, 'tmp_1', record, 60)
      expect(await store.get(anotherOrganizationId, 'tmp_1')).toBeUndefined()
      expect(await store.get(org, 'tmp_')).toBeUndefined()
      expect(await store.get(org, 'TMP_1')).toBeUndefined()
    })

    test('a taken name is refused and the first one stays', async () => {
      const { store } = await create()
      const first = await store.create(org, 'tmp_1', record, 60)
      await expect(store.create(org, 'tmp_1', record, 600)).rejects.toMatchObject({
        code: 'credential-exists',
      })
      expect(await store.get(org, 'tmp_1')).toEqual(first)
    })

    test('it is gone when its time is over, and its name is free again', async () => {
      const { store, pass } = await create()
      await store.create(org, 'tmp_1', record, 1)
      await pass(1_050)
      expect(await store.get(org, 'tmp_1')).toBeUndefined()
      await store.create(org, 'tmp_1', record, 1)
    })

    test('a revoked one is gone at once, and each revocation is told', async () => {
      const { store, log } = await create()
      await store.create(org, 'tmp_1', record, 60)
      expect(await store.revoke(org, 'tmp_1')).toBe(true)
      expect(await store.get(org, 'tmp_1')).toBeUndefined()
      expect(await store.revoke(org, 'tmp_1')).toBe(false)
      const entry = { type: 'credential', organization: org, name: 'tmp_1' }
      expect(log).toEqual([entry, entry])
    })
  })
}
