import { beforeEach, describe, expect, test } from 'vitest'
import { DomainError } from '#core/errors.ts'
import { ReconcileWorld } from '../../fixtures/reconcile-world.ts'
import { aList, anOrganizationResource, aResource, aUserResource } from '../../fixtures/resources.ts'

const org = 'org_k7xm4pqr2n5t'
const lists = { accessListRefs: [{ name: 'devices' }] }
const ada = { kind: 'MqttUser', namespace: 'default', name: 'ada' } as const

let world: ReconcileWorld
beforeEach(async () => {
  world = new ReconcileWorld()
  await world.apply(anOrganizationResource(), aList('devices'))
})

describe('the status', () => {
  test('is written once, and again only when something in it changes', async () => {
    await world.apply(aUserResource('ada', lists))
    world.host.statusWrites = 0
    world.now += 60_000
    await world.changed(ada)
    await world.restart()
    expect(world.host.statusWrites).toBe(0)
    await world.apply(aUserResource('ada', { ...lists, suspended: true }))
    expect(world.host.statusWrites).toBe(1)
  })

  test('keeps the time of the transition while only the generation changes', async () => {
    await world.apply(aUserResource('ada', lists))
    const before = world.host.get('MqttUser', 'default', 'ada')?.status
    world.now += 60_000
    await world.apply(aUserResource('ada', { ...lists, limits: { connections: 1 } }))
    const after = world.host.get('MqttUser', 'default', 'ada')?.status
    expect(after?.observedGeneration).toBe(2)
    expect(after?.conditions?.[0]?.lastTransitionTime).toBe(before?.conditions?.[0]?.lastTransitionTime)
    world.now += 60_000
    await world.apply(aUserResource('ada', { ...lists, suspended: true }))
    const suspended = world.host.get('MqttUser', 'default', 'ada')?.status
    expect(suspended?.conditions?.[0]?.lastTransitionTime).toBe('2026-11-24T12:02:00Z')
  })

  test('tells an event on each transition, and on no other reconcile', async () => {
    await world.apply(aUserResource('ada'))
    await world.apply(aUserResource('ada', { limits: { connections: 1 } }))
    await world.apply(aUserResource('ada', lists))
    const told = world.host.events.filter(({ kind }) => kind === 'MqttUser')
    expect(told.map(({ type, reason }) => `${type} ${reason}`)).toEqual(['Warning NoAccess', 'Normal Synced'])
  })
})

describe('while the store is away', () => {
  const away = () => Promise.reject(new DomainError('store-unavailable', 'away'))

  test('a new object says so and is tried again, one that is in the store is left in peace', async () => {
    await world.apply(aUserResource('ada', lists))
    const put = world.store.put.bind(world.store)
    world.store.put = away
    await expect(world.apply(aUserResource('bob', lists))).rejects.toMatchObject({
      code: 'store-unavailable',
    })
    expect(world.ready('MqttUser', 'bob')).toBe('False StoreUnavailable')
    await expect(world.changed(ada)).rejects.toMatchObject({ code: 'store-unavailable' })
    expect(world.ready('MqttUser', 'ada')).toBe('True Synced')
    world.store.put = put
    await world.changed({ ...ada, name: 'bob' })
    expect(world.ready('MqttUser', 'bob')).toBe('True Synced')
  })

  test('a changed object says so, because what is in the store is the former one', async () => {
    await world.apply(aUserResource('ada', lists))
    world.store.put = away
    await expect(world.apply(aUserResource('ada', { ...lists, suspended: true }))).rejects.toThrow()
    expect(world.ready('MqttUser', 'ada')).toBe('False StoreUnavailable')
    expect(world.host.get('MqttUser', 'default', 'ada')?.status?.username).toBe(`ada@${org}`)
  })

  test('a password is not made twice', async () => {
    world.store.put = away
    await expect(world.apply(aUserResource('ada', lists))).rejects.toThrow()
    const before = world.host.secrets.get('default/ada-mqtt')
    await expect(world.changed(ada)).rejects.toThrow()
    expect(world.host.secrets.get('default/ada-mqtt')).toBe(before)
  })
})

describe('drift', () => {
  test('is found of every kind, mended by a reconcile, and asks for neither Secret nor status', async () => {
    const organizationRef = { name: 'acme' }
    const oidc = { issuer: 'https://issuer.example.com', audience: ['app'] }
    await world.apply(
      aUserResource('ada', lists),
      aResource('ApiKey', 'key', { organizationRef, type: 'secret', scopes: ['exchange'] }),
      aResource('IdentityProvider', 'login', { organizationRef, type: 'oidc', oidc, ...lists }),
    )
    const kept = await world.store.list('user', org)
    expect(await world.reconcilers.findDrift()).toEqual([])
    for (const [type, name] of [
      ['organization', 'organization'],
      ['user', 'ada'],
      ['access-list', 'devices'],
      ['api-key', 'key'],
      ['provider', 'login'],
    ] as const) {
      await world.store.remove(type, org, name)
    }
    world.host.failure = new Error('no Secret is read to find drift')
    world.host.statusWrites = 0
    const drifted = await world.reconcilers.findDrift()
    world.host.failure = undefined
    expect(drifted.map(({ kind, name }) => `${kind} ${name}`).toSorted()).toEqual([
      'AccessList devices',
      'ApiKey key',
      'IdentityProvider login',
      'MqttUser ada',
      'Organization acme',
    ])
    for (const { kind, ...of } of drifted) await world.reconcilers.byKind[kind].reconcile(of)
    expect(await world.reconcilers.findDrift()).toEqual([])
    expect(await world.store.list('user', org)).toEqual(kept)
    expect(world.host.statusWrites).toBe(0)
  })
})

describe('the sweep', () => {
  test('removes records of objects that went while nobody looked, and nothing else', async () => {
    const key = aResource('ApiKey', 'key', {
      organizationRef: { name: 'acme' },
      type: 'secret',
      scopes: ['exchange'],
    })
    await world.apply(aUserResource('ada', lists), aUserResource('bob', lists), key)
    for (const gone of ['MqttUser/default/bob', 'ApiKey/default/key', 'AccessList/default/devices']) {
      world.host.resources.delete(gone)
    }
    expect(await world.restart()).toBe(3)
    expect(await world.store.names('user', org)).toEqual(['ada'])
    expect(await world.store.names('api-key', org)).toEqual([])
    expect(await world.store.names('access-list', org)).toEqual([])
    expect(await world.restart()).toBe(0)
  })

  test('removes all of an Organization that went while nobody looked', async () => {
    await world.apply(aUserResource('ada', lists))
    world.host.resources.delete('Organization/default/acme')
    await world.restart()
    expect(await world.store.organizations()).toEqual([])
  })

  test('keeps the record of an object that could not be reconciled', async () => {
    await world.apply(aUserResource('ada', lists))
    world.host.failure = new Error('unreachable')
    world.host.knowsVersions = false
    await expect(world.restart()).rejects.toThrow('unreachable')
    expect(await world.reconcilers.sweepOrphans()).toEqual({ removed: 0 })
    expect(await world.store.names('user', org)).toEqual(['ada'])
  })

  test('removes the record of a user whose namespace lost its permission meanwhile', async () => {
    const shortId = 'k7xm4pqr2n5t'
    const organizationRef = { name: 'acme', namespace: 'default' }
    await world.apply(
      anOrganizationResource({ shortId, allowedNamespaces: [{ name: 'team-a' }] }),
      aUserResource('ada', { organizationRef, ...lists }, { namespace: 'team-a' }),
    )
    world.host.put(anOrganizationResource({ shortId }))
    expect(await world.restart()).toBe(1)
    expect(await world.store.names('user', org)).toEqual([])
  })
})
