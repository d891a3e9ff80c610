import { describe, expect, test } from 'vitest'
import { recordFingerprint } from '#core/stores/identity-codecs.ts'
import { generateSecret } from '#core/credentials/secret.ts'
import type { IssuedEnd } from '#core/credentials/barrier.ts'
import type { ControlEntry } from '#core/stores/control-log.ts'
import type { CredentialStore } from '#core/stores/credential-store.ts'
import type { IdentityWriter } from '#core/stores/identity-store.ts'
import {
  anApiKey,
  anOrganization,
  anOrganizationId,
  anotherOrganizationId,
  aProvider,
  aUser,
} from '../fixtures/records.ts'

export interface IdentityStoreUnderTest {
  readonly store: IdentityWriter
  /** Everything that the store appended to its control log. */
  readonly log: readonly ControlEntry[]
  /** Of the credentials beside it. */
  readonly barriers: Pick<CredentialStore, 'barrierOf'>
}

/** Every identity store runs this. `create` gives one that is empty and nobody else's. */
export function describeIdentityStore(name: string, create: () => Promise<IdentityStoreUnderTest>): void {
  describe(`${name} keeps the contract of an identity store:`, () => {
    const org = anOrganizationId
    const user = aUser('ada', 'secret')

    test('what was put comes back as it was', async () => {
      const { store } = await create()
      const record = anOrganization({ displayName: 'Ümlaut', limits: { connections: 0 }, defaultLists: [] })
      await store.put('organization', org, 'organization', record)
      expect(await store.get('organization', org, 'organization')).toEqual(record)
    })

    test('what is not there is undefined', async () => {
      const { store } = await create()
      expect(await store.get('user', org, 'nobody')).toBeUndefined()
      expect(await store.get('user', org, '__proto__')).toBeUndefined()
      expect(await store.get('user', org, 'constructor')).toBeUndefined()
    })

    test('a record that changes afterwards does not change what is stored', async () => {
      const { store } = await create()
      const record = { ...user, access: { lists: ['a'], rules: [], ceilings: [] } }
      await store.put('user', org, 'ada', record)
      record.access.lists.push('b')
      expect((await store.get('user', org, 'ada'))?.access.lists).toEqual(['a'])
    })

    test('the same name in another organization or of another type is another record', async () => {
      const { store } = await create()
      await store.put('user', org, 'ada', user)
      expect(await store.get('user', anotherOrganizationId, 'ada')).toBeUndefined()
      expect(await store.get('access-list', org, 'ada')).toBeUndefined()
      expect(await store.get('user', org, 'Ada')).toBeUndefined()
    })

    test('each change is told to the control log once, and no change is not', async () => {
      const { store, log } = await create()
      const entry = { type: 'user', organization: org, name: 'ada' }
      expect(await store.put('user', org, 'ada', user)).toBe(true)
      expect(await store.put('user', org, 'ada', user)).toBe(false)
      expect(log).toEqual([entry])
      expect(await store.put('user', org, 'ada', { ...user, suspended: true })).toBe(true)
      expect(await store.remove('user', org, 'ada')).toBe(true)
      expect(await store.remove('user', org, 'ada')).toBe(false)
      expect(log).toEqual([entry, entry, entry])
    })

    test('getMany gives those that exist, list gives all of the type', async () => {
      const { store } = await create()
      await store.put('access-list', org, 'a', { rules: [] })
      await store.put('access-list', org, 'b', { rules: [] })
      await store.put('user', org, 'a', user)
      expect([...(await store.getMany('access-list', org, ['b', 'missing'])).keys()]).toEqual(['b'])
      expect((await store.getMany('access-list', org, [])).size).toBe(0)
      expect([...(await store.list('access-list', org)).keys()].sort()).toEqual(['a', 'b'])
      expect((await store.list('access-list', anotherOrganizationId)).size).toBe(0)
      expect(await store.count('access-list', org)).toBe(2)
      expect(await store.count('access-list', anotherOrganizationId)).toBe(0)
    })

    test('what is recalled is what was read last, if anything, and has a version of its own', async () => {
      const { store } = await create()
      await store.put('user', org, 'ada', user)
      expect(store.recall('user', org, 'ada')).toBeUndefined()
      const first = (await store.get('user', org, 'ada')) ?? {}
      const version = store.versionOf(first)
      if (version === undefined) return expect(store.recall('user', org, 'ada')).toBeUndefined()
      expect(store.recall('user', org, 'ada')).toBe(first)
      expect(store.recall('user', anotherOrganizationId, 'ada')).toBeUndefined()
      await store.put('user', org, 'ada', { ...user, suspended: true })
      expect(store.recall('user', org, 'ada')).toBe(first)
      const second = (await store.get('user', org, 'ada')) ?? {}
      expect(store.recall('user', org, 'ada')).toBe(second)
      expect(store.versionOf(second)).not.toBe(version)
      await store.remove('user', org, 'ada')
      await store.get('user', org, 'ada')
      return expect(store.recall('user', org, 'ada')).toBeUndefined()
    })

    test('names gives those of one type in one organization', async () => {
      const { store } = await create()
      await store.put('user', org, 'ada', user)
      await store.put('user', org, 'bob', user)
      await store.put('access-list', org, 'list', { rules: [] })
      expect([...(await store.names('user', org))].sort()).toEqual(['ada', 'bob'])
      expect(await store.names('provider', org)).toEqual([])
      expect(await store.names('user', anotherOrganizationId)).toEqual([])
    })

    test('an organization is known while it has any record', async () => {
      const { store } = await create()
      expect(await store.organizations()).toEqual([])
      await store.put('organization', org, 'organization', anOrganization())
      await store.put('user', org, 'ada', user)
      await store.remove('organization', org, 'organization')
      expect(await store.organizations()).toEqual([org])
      await store.remove('user', org, 'ada')
      expect(await store.organizations()).toEqual([])
    })

    test('an organization that is removed leaves a tombstone, until there is one again', async () => {
      const { store } = await create()
      await store.put('organization', org, 'organization', anOrganization())
      await store.put('organization', anotherOrganizationId, 'organization', anOrganization({ retain: true }))
      expect([await store.tombstoneOf(org), await store.tombstones()]).toEqual([undefined, []])
      const before = Date.now() - 1_000
      for (const each of [org, anotherOrganizationId])
        await store.remove('organization', each, 'organization')
      const [tombstone, other] = [
        await store.tombstoneOf(org),
        await store.tombstoneOf(anotherOrganizationId),
      ]
      expect(tombstone).toMatchObject({ organization: org, retains: false })
      expect(tombstone?.at).toBeGreaterThan(before)
      expect(other?.retains).toBe(true)
      expect(await store.tombstones()).toEqual(expect.arrayContaining([tombstone, other]))
      await store.put('user', org, 'ada', user)
      await store.remove('user', org, 'ada')
      expect(await store.remove('organization', org, 'organization')).toBe(false)
      expect(await store.tombstoneOf(org)).toEqual(tombstone)
      await store.put('organization', org, 'organization', anOrganization())
      expect([await store.tombstoneOf(org), await store.tombstones()]).toEqual([undefined, [other]])
    })

    test('a tombstone is forgotten when somebody says so, and never another one of the organization', async () => {
      const { store } = await create()
      const bury = async () => {
        await store.put('organization', org, 'organization', anOrganization())
        await store.remove('organization', org, 'organization')
        return (await store.tombstones())[0] ?? Promise.reject(new Error('there is no tombstone'))
      }
      const former = await bury()
      const tombstone = await bury()
      expect(tombstone.id).not.toBe(former.id)
      await store.forget(former)
      expect(await store.tombstones()).toEqual([tombstone])
      await store.forget(tombstone)
      expect([await store.tombstoneOf(org), await store.tombstones()]).toEqual([undefined, []])
    })

    test('an API key is found by its secret, and by no other text', async () => {
      const { store } = await create()
      const secret = generateSecret('sk')
      const record = anApiKey('backend', secret)
      await store.put('api-key', org, 'backend', record)
      expect(await store.findApiKey(secret)).toEqual({ organization: org, name: 'backend', record })
      expect(await store.findApiKey(generateSecret('sk'))).toBeUndefined()
      expect(await store.findApiKey('')).toBeUndefined()
      expect(await store.findApiKey(`${secret} `)).toBeUndefined()
    })

    test('a rotated API key is found by its new secret only, a removed one not at all', async () => {
      const { store } = await create()
      const [former, secret] = [generateSecret('sk'), generateSecret('sk')]
      await store.put('api-key', org, 'backend', anApiKey('backend', former))
      await store.put('api-key', org, 'backend', anApiKey('backend', secret))
      expect(await store.findApiKey(former)).toBeUndefined()
      expect((await store.findApiKey(secret))?.name).toBe('backend')
      await store.remove('api-key', org, 'backend')
      expect(await store.findApiKey(secret)).toBeUndefined()
    })

    test('what was changed or removed behind one’s back is told by its fingerprint, and nothing else is', async () => {
      const { store } = await create()
      await store.put('user', org, 'ada', user)
      await store.put('user', org, 'bob', { ...user, suspended: true })
      const ofUser = recordFingerprint('user', user)
      const expected = new Map(['ada', 'bob', 'eve'].map((name) => [name, ofUser]))
      expect([...(await store.drifted('user', org, expected))].toSorted()).toEqual(['bob', 'eve'])
      expect(await store.drifted('user', org, new Map([['ada', ofUser]]))).toEqual([])
      expect(await store.drifted('user', anotherOrganizationId, new Map([['ada', ofUser]]))).toEqual(['ada'])
      expect(await store.drifted('user', org, new Map())).toEqual([])
    })

    test('an organization and an API key that can be found have not drifted', async () => {
      const { store } = await create()
      const [organization, key] = [anOrganization(), anApiKey('backend', generateSecret('sk'))]
      await store.put('organization', org, 'organization', organization)
      await store.put('api-key', org, 'backend', key)
      const print = recordFingerprint('organization', organization)
      expect(await store.drifted('organization', org, new Map([['organization', print]]))).toEqual([])
      const ofKey = new Map([['backend', recordFingerprint('api-key', key)]])
      expect(await store.drifted('api-key', org, ofKey)).toEqual([])
    })

    describe('what was issued by a provider', () => {
      const told = { type: 'provider', organization: org, name: 'clerk' } as const
      const ended = { type: 'barrier', organization: org, name: 'provider:clerk' } as const
      const withProvider = async (): Promise<IdentityStoreUnderTest & { raised: () => Promise<number> }> => {
        const made = await create()
        await made.store.put('provider', org, 'clerk', aProvider())
        return { ...made, raised: () => made.barriers.barrierOf(org, ['provider:clerk']) }
      }

      test('ends with its record, and nothing else does', async () => {
        const { store, log, barriers, raised } = await withProvider()
        await store.put('provider', org, 'other', aProvider())
        await store.put('provider', anotherOrganizationId, 'clerk', aProvider())
        await store.put('user', org, 'clerk', user)
        await store.remove('user', org, 'clerk')
        expect([log.map(({ type }) => type).includes('barrier'), await raised()]).toEqual([false, 0])
        expect(await store.remove('provider', org, 'clerk')).toBe(true)
        expect(log.slice(-2)).toEqual([told, ended])
        expect(Math.abs((await raised()) - Date.now())).toBeLessThan(60_000)
        expect(await barriers.barrierOf(org, ['organization', 'provider:other'])).toBe(0)
        expect(await barriers.barrierOf(anotherOrganizationId, ['provider:clerk'])).toBe(0)
        const before = await raised()
        expect(await store.remove('provider', org, 'clerk')).toBe(false)
        expect([log.slice(-2), await raised()]).toEqual([[told, ended], before])
      })

      test('stays when the record changes, unless whoever changes it says that it ends', async () => {
        const { store, log, raised } = await withProvider()
        const put = (ttl: number, end?: IssuedEnd): Promise<boolean> =>
          store.put('provider', org, 'clerk', aProvider({ ttl }), end)
        await put(90)
        expect(await put(90, 'for-good')).toBe(false)
        expect([await raised(), log]).toEqual([0, [told, told]])
        expect(await put(120, 'for-good')).toBe(true)
        expect(await raised()).toBeGreaterThan(0)
        expect(log).toEqual([told, told, told, ended])
      })

      test('ends so that everybody is judged anew, where whoever changes the record says so', async () => {
        const { store, log, barriers, raised } = await withProvider()
        await store.put('provider', org, 'clerk', aProvider({ ttl: 90 }), 'judged-anew')
        expect([await raised(), (await barriers.barrierOf(org, ['terms:clerk'])) > 0]).toEqual([0, true])
        expect(log).toEqual([told, told, { ...ended, name: 'terms:clerk' }])
      })
    })

    test('what an API key vouched for ends with its record, unless that is missing for a while only', async () => {
      const { store, log, barriers } = await create()
      const [raised, secret] = [() => barriers.barrierOf(org, ['api-key:backend']), generateSecret('sk')]
      const put = (end?: IssuedEnd): Promise<boolean> =>
        store.put('api-key', org, 'backend', anApiKey('backend', secret), end)
      const told = { type: 'api-key', organization: org, name: 'backend' }
      await put()
      expect(await store.remove('api-key', org, 'backend', { keepsIssued: true })).toBe(true)
      await put('judged-anew')
      expect([await raised(), log]).toEqual([0, [told, told, told]])
      expect(await store.remove('api-key', org, 'backend')).toBe(true)
      expect(await raised()).toBeGreaterThan(0)
      expect(log.slice(3)).toEqual([told, { type: 'barrier', organization: org, name: 'api-key:backend' }])
    })

    test('it is ready only once somebody said so', async () => {
      const { store } = await create()
      await store.put('user', org, 'ada', user)
      expect(await store.isReady()).toBe(false)
      await store.markReady()
      await store.markReady()
      expect(await store.isReady()).toBe(true)
    })
  })
}
