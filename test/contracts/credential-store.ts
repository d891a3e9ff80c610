import { describe, expect, test } from 'vitest'
import type { BarrierTarget } from '#core/credentials/barrier.ts'
import type { CredentialRecord } from '#core/credentials/credential-record.ts'
import type { Principal } from '#core/identity/principal.ts'
import { type ControlEntry, parseMoment } from '#core/stores/control-log.ts'
import type { CredentialPosition, CredentialQuery, CredentialStore } from '#core/stores/credential-store.ts'
import { RateExceeded } from '#core/stores/rate-limiter.ts'
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

    describe('a barrier ends', () => {
      const agent = (actsFor: string): CredentialRecord =>
        aCredential('tmp_1', 'x', { kind: 'agent', principal: `agent:planner:${actsFor}` as Principal })
      const ofProvider = aCredential('tmp_1', 'x', { principal: 'sub:a', provider: 'clerk' })
      const ofKey = (kind: CredentialRecord['kind']): CredentialRecord =>
        aCredential('tmp_1', 'x', { kind, apiKey: 'backend' })
      test.each<[string, CredentialRecord, BarrierTarget, boolean]>([
        ['all of an organization', record, 'organization', true],
        ['those of an identity', ofProvider, 'principal:sub:a', true],
        ['none of another identity', ofProvider, 'principal:sub:b', false],
        ['those of a provider', ofProvider, 'provider:clerk', true],
        ['none of another provider', ofProvider, 'provider:firebase', false],
        ['those on former terms of a provider', ofProvider, 'terms:clerk', true],
        ['none on terms of another provider', ofProvider, 'terms:firebase', false],
        ['none of a provider of that name in the identity', ofProvider, 'provider:sub:a', false],
        ['those that an API key vouches for', ofKey('worker'), 'api-key:backend', true],
        ['none of another API key', ofKey('worker'), 'api-key:other', false],
        ['nobody who signed in with the key', ofKey('exchange'), 'api-key:backend', false],
        ['agents of whom they act for', agent('sub:a'), 'principal:sub:a', true],
        ['no agents of others', agent('sub:b'), 'principal:sub:a', false],
      ])('%s', async (_what, given, target, ends) => {
        const { store, log } = await create()
        await store.create(org, 'tmp_1', given, 60)
        await store.create(anotherOrganizationId, 'tmp_1', given, 60)
        await store.raiseBarrier(org, target)
        expect((await store.get(org, 'tmp_1')) === undefined).toBe(ends)
        expect((await store.list(org, { limit: 10 })).credentials).toHaveLength(ends ? 0 : 1)
        expect(await store.get(anotherOrganizationId, 'tmp_1')).toBeDefined()
        expect(log.at(-1)).toEqual({ type: 'barrier', organization: org, name: target })
      })

      test('what was issued before it and nothing that is issued after', async () => {
        const { store, pass } = await create()
        await store.create(org, 'tmp_1', record, 60)
        const { at } = await store.raiseBarrier(org, 'organization')
        await pass(5)
        await store.create(org, 'tmp_2', record, 60)
        expect(await store.get(org, 'tmp_1')).toBeUndefined()
        expect(await store.get(org, 'tmp_2')).toBeDefined()
        expect(await store.extend(org, 'tmp_1', 60, 600)).toBeUndefined()
        expect(await store.barrierOf(org, ['organization'])).toBe(at)
      })

      test('what was issued before a time that is given, never before an earlier one again', async () => {
        const { store, pass } = await create()
        const first = await store.create(org, 'tmp_1', record, 60)
        await pass(50)
        await store.create(org, 'tmp_2', record, 60)
        const raised = await store.raiseBarrier(org, 'organization', first.issuedAt + 1)
        expect(raised.at).toBe(first.issuedAt + 1)
        expect(await store.get(org, 'tmp_1')).toBeUndefined()
        expect(await store.get(org, 'tmp_2')).toBeDefined()
        expect((await store.raiseBarrier(org, 'organization', 1)).at).toBe(first.issuedAt + 1)
        expect(await store.barrierOf(org, ['provider:x', 'organization'])).toBe(first.issuedAt + 1)
      })

      test('a proof of that age: nothing is issued on its word, whoever it is for', async () => {
        const { store, pass } = await create()
        const { at } = await store.raiseBarrier(org, 'principal:sub:a')
        await pass(5)
        const issue = (local: string, over: Partial<CredentialRecord>, provenAt: number): Promise<unknown> =>
          store.create(org, local, { ...ofProvider, ...over }, 60, { provenAt, perMinute: 100 })
        await expect(issue('tmp_1', {}, at)).rejects.toMatchObject({ code: 'behind-barrier' })
        const agentOfA = { principal: 'agent:planner:sub:a' } as const
        await expect(issue('tmp_1', agentOfA, at)).rejects.toMatchObject({ code: 'behind-barrier' })
        expect(await store.get(org, 'tmp_1')).toBeUndefined()
        await issue('tmp_1', {}, at + 1)
        await issue('tmp_2', { principal: 'sub:b' }, at)
        expect(await store.get(org, 'tmp_1')).toBeDefined()
      })

      test('no proof of former terms: it is judged by those of now', async () => {
        const { store, pass } = await create()
        await store.create(org, 'tmp_1', ofProvider, 60)
        const { at } = await store.raiseBarrier(org, 'terms:clerk')
        await pass(5)
        await store.create(org, 'tmp_2', ofProvider, 60, { provenAt: at - 1_000 })
        expect(await store.get(org, 'tmp_1')).toBeUndefined()
        expect(await store.get(org, 'tmp_2')).toBeDefined()
      })

      test('nothing in the future, and is known of its own organization only', async () => {
        const { store, pass } = await create()
        const { at } = await store.raiseBarrier(org, 'provider:x', 9e15)
        await pass(5)
        await store.create(org, 'tmp_1', { ...ofProvider, provider: 'x' }, 60)
        expect(await store.get(org, 'tmp_1')).toBeDefined()
        expect(at).toBeLessThan(9e15)
        expect(await store.barrierOf(anotherOrganizationId, ['provider:x'])).toBe(0)
        expect(await store.barrierOf(org, [])).toBe(0)
      })
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
      expect((await store.revoke(org, 'tmp_1')).wasThere).toBe(true)
      expect(await store.get(org, 'tmp_1')).toBeUndefined()
      expect((await store.revoke(org, 'tmp_1')).wasThere).toBe(false)
      const entry = { type: 'credential', organization: org, name: 'tmp_1' }
      expect(log.filter(({ type }) => type === 'credential')).toEqual([entry, entry])
    })

    test('with the last one of a principal it is told that nothing is left of it, and not before', async () => {
      const { store, log } = await create()
      for (const local of ['tmp_1', 'tmp_2']) await store.create(org, local, record, 60)
      const told = (): ControlEntry[] => log.filter(({ type }) => type === 'principal')
      expect((await store.revoke(org, 'tmp_1')).positions).toHaveLength(1)
      expect(told()).toEqual([])
      const { positions } = await store.revoke(org, 'tmp_2')
      expect(positions).toHaveLength(2)
      expect(told()).toMatchObject([{ organization: org }])
      expect(parseMoment(told()[0]?.name ?? '')?.of).toBe(record.principal)
    })

    test('what a barrier ended is nothing of a principal, and does not hide what came after it', async () => {
      const { store, log, pass } = await create()
      const told = (): ControlEntry[] => log.filter(({ type }) => type === 'principal')
      await store.create(org, 'tmp_1', record, 60)
      await store.create(org, 'tmp_2', record, 70)
      await store.raiseBarrier(org, `principal:${record.principal}`)
      await pass(5)
      await store.create(org, 'tmp_3', record, 80)
      await store.create(org, 'tmp_4', record, 80)
      await store.revoke(org, 'tmp_3')
      expect(told()).toEqual([])
      await store.revoke(org, 'tmp_4')
      expect(told()).toHaveLength(1)
    })

    test('one that stands for nobody but itself is told of once', async () => {
      const { store, log } = await create()
      await store.create(org, 'tmp_1', { ...record, kind: 'anonymous', principal: 'tmp:tmp_1' }, 60)
      await store.revoke(org, 'tmp_1')
      expect(log.map(({ type }) => type)).toEqual(['credential'])
    })

    const entryOf = (name: string): ControlEntry => ({ type: 'credential', organization: org, name })

    describe('the other credentials of the same principal', () => {
      test('stay, unless somebody wants otherwise', async () => {
        const { store, log } = await create()
        for (const local of ['tmp_1', 'tmp_2', 'tmp_3']) await store.create(org, local, record, 60)
        for (const local of ['tmp_1', 'tmp_2', 'tmp_3']) {
          expect(await store.get(org, local)).toBeDefined()
        }
        expect(log).toEqual([])
      })

      test('all end where the new one replaces them, and it is told', async () => {
        const { store, log } = await create()
        await store.create(org, 'tmp_1', record, 60)
        await store.create(org, 'tmp_2', record, 120)
        await store.create(org, 'tmp_other', { ...record, principal: 'sub:other' }, 60)
        await store.create(anotherOrganizationId, 'tmp_1', record, 60)
        await store.create(org, 'tmp_3', record, 90, { replace: true })
        expect(await localsOf(store)).toEqual(['tmp_other', 'tmp_3'])
        expect(await store.get(org, 'tmp_1')).toBeUndefined()
        expect(await store.get(anotherOrganizationId, 'tmp_1')).toBeDefined()
        expect(log).toEqual([entryOf('tmp_1'), entryOf('tmp_2')])
      })

      test('make room where too many would live: those that end first', async () => {
        const { store, log } = await create()
        await store.create(org, 'tmp_late', record, 300, { most: 2 })
        await store.create(org, 'tmp_soon', record, 60, { most: 2 })
        await store.create(org, 'tmp_new', record, 100, { most: 2 })
        expect(await localsOf(store)).toEqual(['tmp_new', 'tmp_late'])
        await store.create(org, 'tmp_one', record, 60, { most: 1 })
        expect(await localsOf(store)).toEqual(['tmp_one'])
        expect(log.map(({ name }) => name).toSorted()).toEqual(['tmp_late', 'tmp_new', 'tmp_soon'])
      })

      test('count only while they live', async () => {
        const { store, log, pass } = await create()
        await store.create(org, 'tmp_1', record, 1)
        await pass(1_050)
        await store.create(org, 'tmp_2', record, 60, { most: 1 })
        expect(log).toEqual([])
        await store.revoke(org, 'tmp_2')
        await store.create(org, 'tmp_3', record, 60, { most: 1 })
        expect(log.filter(({ type }) => type === 'credential')).toEqual([entryOf('tmp_2')])
      })
    })

    describe('only so many a minute are issued to a principal', () => {
      test('and refused beyond, with nothing made and nothing ended', async () => {
        const { store, log, pass } = await create()
        const bounds = { perMinute: 60, most: 100 }
        for (let index = 0; index < 60; index += 1) {
          await store.create(org, `tmp_${index}`, record, 60, bounds)
        }
        const refused = store.create(org, 'tmp_x', record, 60, { ...bounds, replace: true })
        await expect(refused).rejects.toBeInstanceOf(RateExceeded)
        const error = await refused.catch((cause: RateExceeded) => cause)
        expect(error).toMatchObject({ limit: { name: 'subject', of: record.principal, perMinute: 60 } })
        expect((error as RateExceeded).waitMs).toBeGreaterThan(0)
        expect((error as RateExceeded).waitMs).toBeLessThanOrEqual(1_000)
        expect(await store.get(org, 'tmp_x')).toBeUndefined()
        expect(await localsOf(store)).toHaveLength(60)
        expect(log).toEqual([])
        await pass(1_005)
        await store.create(org, 'tmp_x', record, 60, bounds)
      })

      test('to others, in other organizations and without the bound as before', async () => {
        const { store } = await create()
        const bounds = { perMinute: 1 }
        await store.create(org, 'tmp_1', record, 60, bounds)
        await store.create(org, 'tmp_2', { ...record, principal: 'sub:other' }, 60, bounds)
        await store.create(anotherOrganizationId, 'tmp_1', record, 60, bounds)
        await store.create(org, 'tmp_3', record, 60)
        await expect(store.create(org, 'tmp_4', record, 60, bounds)).rejects.toBeInstanceOf(RateExceeded)
      })

      test('a life that is prolonged counts as well', async () => {
        const { store } = await create()
        await store.create(org, 'tmp_1', record, 60, { perMinute: 2 })
        await store.extend(org, 'tmp_1', 90, 3_600, { perMinute: 2 })
        const refused = store.extend(org, 'tmp_1', 120, 3_600, { perMinute: 2 })
        await expect(refused).rejects.toBeInstanceOf(RateExceeded)
        await expect(store.create(org, 'tmp_2', record, 60, { perMinute: 2 })).rejects.toBeInstanceOf(
          RateExceeded,
        )
      })
    })

    describe('a life is prolonged', () => {
      test('to so many seconds from now, told, and nothing else changes', async () => {
        const { store, log, pass } = await create()
        const first = await store.create(org, 'tmp_1', record, 2)
        await pass(1_000)
        const longer = await store.extend(org, 'tmp_1', 10, 3_600)
        expect(longer).toEqual({ ...first, expiresAt: longer?.expiresAt })
        expect(longer?.expiresAt).toBeGreaterThan(first.issuedAt + 10_900)
        expect(longer?.expiresAt).toBeLessThan(first.issuedAt + 12_000)
        expect(log).toEqual([entryOf('tmp_1')])
        await pass(1_050)
        expect(await store.get(org, 'tmp_1')).toEqual(longer)
        expect(await localsOf(store)).toEqual(['tmp_1'])
      })

      test('never further than the longest life from its first issue, however often', async () => {
        const { store, pass } = await create()
        const first = await store.create(org, 'tmp_1', record, 1)
        await pass(500)
        for (let times = 0; times < 3; times += 1) {
          expect((await store.extend(org, 'tmp_1', 60, 2))?.expiresAt).toBe(first.issuedAt + 2_000)
        }
        await pass(1_550)
        expect(await store.get(org, 'tmp_1')).toBeUndefined()
      })

      test('and never shortened', async () => {
        const { store } = await create()
        const first = await store.create(org, 'tmp_1', record, 60)
        expect(await store.extend(org, 'tmp_1', 1, 3_600)).toEqual(first)
        expect(await store.extend(org, 'tmp_1', 600, 10)).toEqual(first)
      })

      test('with other attributes, where they are given, and nothing else changed', async () => {
        const { store } = await create()
        const first = await store.create(org, 'tmp_1', record, 60)
        const attributes = { user_id: 'somebody', email: 'new@example.com' }
        const longer = await store.extend(org, 'tmp_1', 90, Infinity, { attributes })
        expect(longer).toEqual({ ...first, attributes, expiresAt: longer?.expiresAt })
        expect(await store.get(org, 'tmp_1')).toEqual(longer)
        const again = await store.extend(org, 'tmp_1', 120, Infinity)
        expect(again?.attributes).toEqual(attributes)
      })

      test('but not of one that is gone', async () => {
        const { store, log, pass } = await create()
        await store.create(org, 'tmp_1', record, 1)
        await pass(1_050)
        expect(await store.extend(org, 'tmp_1', 60, 3_600)).toBeUndefined()
        expect(await store.extend(org, 'tmp_none', 60, 3_600)).toBeUndefined()
        expect(await localsOf(store)).toEqual([])
        expect(log).toEqual([])
      })
    })

    describe('those that live are listed', () => {
      const ada = { ...record, principal: 'sub:ada' } as const
      const agent = { ...record, kind: 'agent', principal: 'agent:a' } as const

      test('with all there is, of one organization, the ones that end first first', async () => {
        const { store } = await create()
        const late = await store.create(org, 'tmp_late', ada, 300)
        const soon = await store.create(org, 'tmp_soon', agent, 60)
        await store.create(anotherOrganizationId, 'tmp_foreign', ada, 60)
        expect(await store.list(org, { limit: 10 })).toEqual({
          credentials: [
            { ...soon, local: 'tmp_soon' },
            { ...late, local: 'tmp_late' },
          ],
        })
      })

      test('by kind and by principals', async () => {
        const { store } = await create()
        await store.create(org, 'tmp_1', ada, 60)
        await store.create(org, 'tmp_2', record, 70)
        await store.create(org, 'tmp_3', agent, 80)
        expect(await localsOf(store, { kind: 'agent' })).toEqual(['tmp_3'])
        expect(await localsOf(store, { kind: 'worker' })).toEqual([])
        expect(await localsOf(store, { principals: ['sub:ada'] })).toEqual(['tmp_1'])
        expect(await localsOf(store, { principals: ['sub:ada', 'agent:a', 'sub:none'] })).toEqual([
          'tmp_1',
          'tmp_3',
        ])
        expect(await localsOf(store, { principals: ['sub:ada'], kind: 'agent' })).toEqual([])
        expect(await localsOf(store, { principals: [] })).toEqual([])
      })

      test('page by page, each once, also those that end in the same moment', async () => {
        const { store } = await create()
        const names = Array.from({ length: 25 }, (_, index) => `tmp_${String(index).padStart(2, '0')}`)
        await Promise.all(names.map((local) => store.create(org, local, ada, 60)))
        await Promise.all(names.map((local) => store.create(org, `${local}x`, agent, 60)))
        const seen: string[] = []
        let after: CredentialPosition | undefined
        do {
          const page = await store.list(org, { limit: 7, ...(after === undefined ? {} : { after }) })
          expect(page.credentials.length).toBeLessThanOrEqual(7)
          seen.push(...page.credentials.map(({ local }) => local))
          after = page.next
        } while (after !== undefined)
        expect(seen).toHaveLength(50)
        expect(new Set(seen).size).toBe(50)
      })

      test('without those that expired or were revoked, also while somebody reads', async () => {
        const { store, pass } = await create()
        await store.create(org, 'tmp_1', ada, 1)
        for (const local of ['tmp_2', 'tmp_3', 'tmp_4']) await store.create(org, local, ada, 60)
        await pass(1_050)
        const { credentials, next } = await store.list(org, { limit: 1 })
        expect(credentials.map(({ local }) => local)).toEqual(['tmp_2'])
        await store.revoke(org, 'tmp_2')
        await store.revoke(org, 'tmp_3')
        const rest = await store.list(org, { limit: 5, ...(next === undefined ? {} : { after: next }) })
        expect(rest.credentials.map(({ local }) => local)).toEqual(['tmp_4'])
        expect(rest.next).toBeUndefined()
      })
    })

    const localsOf = async (
      store: CredentialStore,
      query: Partial<CredentialQuery> = {},
    ): Promise<readonly string[]> => {
      const { credentials } = await store.list(org, { limit: 100, ...query })
      return credentials.map(({ local }) => local)
    }
  })
}
