import { beforeEach, describe, expect, test } from 'vitest'
import { apiKeyLookup, generateSecret, secretKindOf } from '#core/credentials/secret.ts'
import { verifierOfGenerated } from '#core/credentials/verifier.ts'
import type { ResourceOf } from '#core/resources/index.ts'
import { aCredential } from '../../fixtures/records.ts'
import { ReconcileWorld } from '../../fixtures/reconcile-world.ts'
import { acme, aList, anOrganizationResource, aResource } from '../../fixtures/resources.ts'

const org = 'org_k7xm4pqr2n5t'
const lists = { accessListRefs: [{ name: 'devices' }] }

let world: ReconcileWorld
beforeEach(async () => {
  world = new ReconcileWorld()
  await world.apply(anOrganizationResource(), aList('devices'))
})

describe('an ApiKey', () => {
  const spec: ResourceOf['ApiKey']['spec'] = { ...acme, type: 'secret', scopes: ['exchange'] }
  const keyText = (): string => world.host.secrets.get('default/backend-api-key')?.data['key'] ?? ''

  test('is generated into a Secret, and found by it', async () => {
    await world.apply(aResource('ApiKey', 'backend', { ...spec, ...lists, agentIdPattern: 'a-[0-9]+' }))
    expect(secretKindOf(keyText())).toBe('sk')
    const found = await world.store.findApiKey(keyText())
    expect(found).toEqual({
      organization: org,
      name: 'backend',
      record: {
        uid: 'uid-ApiKey-default-backend',
        type: 'secret',
        scopes: ['exchange'],
        lookup: apiKeyLookup(keyText()),
        verifier: verifierOfGenerated(keyText(), { kind: 'api-key', name: `backend@${org}` }),
        ceiling: ['devices'],
        attributes: [],
        agentIdPattern: 'a-[0-9]+',
        origins: [],
      },
    })
    expect(world.ready('ApiKey', 'backend')).toBe('True Synced')
    expect(world.host.get('ApiKey', 'default', 'backend')?.status?.keySecret?.name).toBe('backend-api-key')
  })

  test('has no ceiling where it names no list, and an empty one where it names none of them', async () => {
    await world.apply(aResource('ApiKey', 'backend', spec))
    expect((await world.store.findApiKey(keyText()))?.record.ceiling).toBeUndefined()
    await world.apply(aResource('ApiKey', 'backend', { ...spec, accessListRefs: [] }))
    expect((await world.store.findApiKey(keyText()))?.record.ceiling).toEqual([])
  })

  test('shows when it was last used, looks again soon, and keeps what it has shown', async () => {
    const lastUsed = () => world.host.get('ApiKey', 'default', 'backend')?.status?.lastUsed
    const reconcile = () =>
      world.reconcilers.byKind.ApiKey.reconcile({ namespace: 'default', name: 'backend' })
    await world.apply(aResource('ApiKey', 'backend', spec))
    expect(lastUsed()).toBeUndefined()
    await world.keyUses.note(org, 'uid-ApiKey-default-backend', Date.parse('2026-11-24T11:59:59.700Z'))
    expect((await reconcile()).againAfterMs).toBe(900_000)
    expect(lastUsed()).toBe('2026-11-24T11:59:59Z')
    await world.keyUses.note(org, 'uid-ApiKey-default-backend', 0)
    await reconcile()
    expect(lastUsed()).toBe('2026-11-24T11:59:59Z')
    world.host.delete('Organization', 'default', 'acme')
    await reconcile()
    expect(lastUsed()).toBe('2026-11-24T11:59:59Z')
  })

  test('for browsers is a publishable one', async () => {
    await world.apply(
      aResource('ApiKey', 'backend', { ...spec, type: 'publishable', origins: ['https://a'] }),
    )
    expect(secretKindOf(keyText())).toBe('pk')
    expect((await world.store.findApiKey(keyText()))?.record.origins).toEqual(['https://a'])
  })

  test('keeps its key over a restart, and gets another when the Secret is deleted', async () => {
    await world.apply(aResource('ApiKey', 'backend', spec))
    const before = keyText()
    await world.restart()
    expect(keyText()).toBe(before)
    world.host.secrets.delete('default/backend-api-key')
    await world.secretChanged('backend-api-key')
    expect(keyText()).not.toBe(before)
    expect(await world.store.findApiKey(before)).toBeUndefined()
    expect(await world.store.findApiKey(keyText())).toBeDefined()
  })

  test('is no key while its Secret is somebody else’s, or holds something else', async () => {
    world.host.putSecret('default', 'backend-api-key', { key: 'foreign' })
    await world.apply(aResource('ApiKey', 'backend', spec))
    expect(world.ready('ApiKey', 'backend')).toBe('False SecretConflict')
    world.host.putSecret('default', 'backend-api-key', { key: 'edited' }, 'uid-ApiKey-default-backend')
    await world.secretChanged('backend-api-key')
    expect(world.ready('ApiKey', 'backend')).toBe('False SecretKeyMissing')
    expect(await world.store.names('api-key', org)).toEqual([])
  })

  describe('what it vouched for', () => {
    const issue = async (
      kind: 'worker' | 'exchange',
      apiKey = 'backend',
    ): Promise<() => Promise<boolean>> => {
      const local = `tmp_${kind}_${apiKey}_${world.now}`
      world.now += 1
      await world.credentials.create(org, local, aCredential(local, 'x', { kind, apiKey }), 3600)
      world.now += 1
      return async () => (await world.credentials.get(org, local)) !== undefined
    }
    beforeEach(async () => {
      await world.apply(aResource('ApiKey', 'backend', spec), aResource('ApiKey', 'other', spec))
    })

    test('ends when it is deleted, and neither who signed in with it nor what another vouched for', async () => {
      const [worker, person] = [await issue('worker'), await issue('exchange')]
      const other = await issue('worker', 'other')
      await world.delete('ApiKey', 'backend')
      expect(await Promise.all([worker(), person(), other()])).toEqual([false, true, true])
      await world.apply(aResource('ApiKey', 'backend', spec, { uid: 'uid-anew' }))
      world.now += 1
      const fresh = await issue('worker')
      await world.restart()
      expect(await fresh()).toBe(true)
    })

    test('ends when it was deleted or made anew while nobody looked', async () => {
      const [first, other] = [await issue('worker'), await issue('worker', 'other')]
      world.host.putSecret('default', 'backend-api-key', { key: generateSecret('sk') }, 'uid-anew')
      await world.apply(aResource('ApiKey', 'backend', spec, { uid: 'uid-anew' }))
      expect([await first(), await other()]).toEqual([false, true])
      world.host.resources.delete('ApiKey/default/other')
      await world.restart()
      expect(await other()).toBe(false)
    })

    test('lives on while its Secret is no good, when it is rotated, and when it may issue less', async () => {
      const worker = await issue('worker')
      world.host.putSecret('default', 'backend-api-key', { key: 'edited' }, 'uid-ApiKey-default-backend')
      await world.secretChanged('backend-api-key')
      expect(world.ready('ApiKey', 'backend')).toBe('False SecretKeyMissing')
      expect(await world.store.names('api-key', org)).toEqual(['other'])
      world.host.secrets.delete('default/backend-api-key')
      await world.secretChanged('backend-api-key')
      await world.apply(aResource('ApiKey', 'backend', { ...spec, scopes: ['exchange'] }))
      await world.restart()
      expect(await worker()).toBe(true)
    })
  })

  test('with a pattern that is none keeps what was in force', async () => {
    await world.apply(aResource('ApiKey', 'backend', { ...spec, agentIdPattern: 'a' }))
    await world.apply(aResource('ApiKey', 'backend', { ...spec, agentIdPattern: '(' }))
    expect(world.ready('ApiKey', 'backend')).toBe('False InvalidPattern')
    expect((await world.store.findApiKey(keyText()))?.record.agentIdPattern).toBe('a')
  })

  test('goes with its resource', async () => {
    await world.apply(aResource('ApiKey', 'backend', spec))
    const before = keyText()
    await world.delete('ApiKey', 'backend')
    expect(await world.store.findApiKey(before)).toBeUndefined()
  })
})
