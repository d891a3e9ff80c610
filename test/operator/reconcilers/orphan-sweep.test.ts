import { beforeEach, describe, expect, test } from 'vitest'
import { DomainError } from '#core/errors.ts'
import { ReconcileWorld } from '../../fixtures/reconcile-world.ts'
import { aList, anOrganizationResource, aResource, aUserResource } from '../../fixtures/resources.ts'

const org = 'org_k7xm4pqr2n5t'
const other = 'org_aaaabbbbcccc'
const lists = { accessListRefs: [{ name: 'devices' }] }
const manyUsers = (count: number, spec: object = lists) =>
  Array.from({ length: count }, (_, index) => aUserResource(`user-${index}`, spec))

let world: ReconcileWorld
beforeEach(async () => {
  world = new ReconcileWorld()
  await world.apply(anOrganizationResource(), aList('devices'))
})

/** As an API server shows it that was restored empty, or asked in the wrong place. */
function showNothingOf(...kinds: readonly string[]): void {
  for (const key of world.host.resources.keys()) {
    if (kinds.includes(key.split('/')[0] ?? '')) world.host.resources.delete(key)
  }
}
const sweep = (confirmed?: string) => world.reconcilers.sweepOrphans((token) => token === confirmed)
const users = async (of: `org_${string}` = org) => (await world.store.names('user', of)).length

describe('the brake of the sweep', () => {
  test('keeps every record when an API server suddenly shows nothing at all', async () => {
    await world.apply(...manyUsers(30))
    showNothingOf('Organization', 'AccessList', 'MqttUser')
    world.forget()
    const { removed, held } = await sweep()
    expect(removed).toBe(0)
    expect(held).toMatchObject({ records: 32, organizations: [org] })
    expect(held?.orphans).toHaveLength(32)
    expect(await users()).toBe(30)
  })

  test('lets go what is confirmed by its token, and nothing by the token of something else', async () => {
    await world.apply(...manyUsers(30))
    const gone = world.host.get('MqttUser', 'default', 'user-7')
    showNothingOf('MqttUser')
    world.forget()
    const { held } = await sweep()
    if (gone !== undefined) await world.apply(gone)
    expect((await sweep(held?.token)).removed).toBe(0)
    const { held: less } = await sweep()
    expect(less?.token).not.toBe(held?.token)
    expect((await sweep(less?.token)).removed).toBe(29)
    expect(await users()).toBe(1)
  })

  test('is loose again once the objects are back', async () => {
    await world.apply(...manyUsers(30))
    const all = new Map(world.host.resources)
    showNothingOf('MqttUser')
    expect((await sweep()).held).toBeDefined()
    for (const [key, resource] of all) world.host.resources.set(key, resource)
    expect(await sweep()).toEqual({ removed: 0 })
    expect(await world.restart()).toBe(0)
    expect(await users()).toBe(30)
  })

  test('is not felt by a few of many, nor by the last ones of an organization that is small', async () => {
    await world.apply(...manyUsers(60))
    for (let index = 0; index < 12; index += 1) world.host.resources.delete(`MqttUser/default/user-${index}`)
    world.forget()
    expect(await sweep()).toEqual({ removed: 12 })
    expect(await users()).toBe(48)
  })

  test('holds what one organization lost and lets go the one record of another', async () => {
    const organizationRef = { name: 'other' }
    await world.apply(
      ...manyUsers(60),
      aResource('Organization', 'other', { shortId: 'aaaabbbbcccc' }),
      ...Array.from({ length: 12 }, (_, index) => aUserResource(`theirs-${index}`, { organizationRef })),
    )
    for (let index = 0; index < 12; index += 1)
      world.host.resources.delete(`MqttUser/default/theirs-${index}`)
    world.host.resources.delete('MqttUser/default/user-0')
    world.forget()
    const { removed, held } = await sweep()
    expect(removed).toBe(1)
    expect(held?.organizations).toEqual([other])
    expect(await users(other)).toBe(12)
  })

  test('holds all when many organizations lose a little each', async () => {
    const ids = ['a', 'b', 'c', 'd', 'e', 'f']
    for (const id of ids) {
      const organizationRef = { name: id }
      await world.apply(
        aResource('Organization', id, { shortId: id.repeat(12) }),
        aUserResource(`${id}-1`, { organizationRef }),
        aUserResource(`${id}-2`, { organizationRef }),
      )
    }
    showNothingOf('MqttUser')
    world.forget()
    const { removed, held } = await sweep()
    expect(removed).toBe(0)
    expect(held?.organizations).toHaveLength(6)
  })
})

describe('what is only missing', () => {
  test('is left to the sweep by its own reconcile, and by that of an organization’s members', async () => {
    await world.apply(...manyUsers(30))
    for (const kind of ['Organization', 'AccessList', 'MqttUser'] as const)
      world.host.fates.set(kind, 'missing')
    showNothingOf('Organization', 'AccessList')
    const { byKind } = world.reconcilers
    const gone = { namespace: 'default', name: 'acme' }
    expect(await byKind.Organization.reconcile(gone)).toEqual({ mustSweep: true })
    for (const dependent of world.reconcilers.byKind.Organization.dependents(gone)) {
      await byKind[dependent.kind].reconcile(dependent)
    }
    expect(await byKind.AccessList.reconcile({ namespace: 'default', name: 'devices' })).toEqual({
      mustSweep: true,
    })
    expect(world.ready('MqttUser', 'user-3')).toBe('False OrganizationNotFound')
    expect(await users()).toBe(30)
    expect(await world.store.get('organization', org, 'organization')).toBeDefined()
    expect(await world.store.names('access-list', org)).toEqual(['devices'])
  })

  test('keeps its record when its kind is removed, and holds nobody up', async () => {
    await world.apply(...manyUsers(30))
    world.host.fates.set('MqttUser', 'kind-removed')
    for (let index = 0; index < 30; index += 1) await world.delete('MqttUser', `user-${index}`)
    expect(world.host.list('MqttUser')).toEqual([])
    expect(await users()).toBe(30)
    expect((await sweep()).held?.orphans).toHaveLength(30)
    // The kind is back, and so are the manifests.
    world.host.fates.clear()
    await world.apply(...manyUsers(30))
    expect(await sweep()).toEqual({ removed: 0 })
  })

  test('is kept to the last when its kind is removed, however little by little its objects go', async () => {
    await world.apply(...manyUsers(8))
    world.host.fates.set('MqttUser', 'kind-removed')
    for (let index = 0; index < 8; index += 1) {
      await world.delete('MqttUser', `user-${index}`)
      expect((await sweep()).removed).toBe(0)
    }
    expect(await users()).toBe(8)
    world.host.fates.clear()
    await world.apply(aUserResource('user-0', lists))
    const { held } = await sweep()
    expect((await sweep(held?.token)).removed).toBe(7)
    // The kind has been back for a while: a single loss is as usual again.
    await world.apply(aUserResource('user-1', lists))
    world.now += 600_001
    await sweep()
    world.host.resources.delete('MqttUser/default/user-1')
    expect((await sweep()).removed).toBe(1)
  })

  test('is not whittled away by sweep after sweep; an hour later a little may go again', async () => {
    await world.apply(...manyUsers(40))
    let removed = 0
    for (let index = 0; index < 20; index += 1) {
      world.host.resources.delete(`MqttUser/default/user-${index}`)
      removed += (await sweep()).removed
    }
    expect(removed).toBe(10)
    expect(await users()).toBe(30)
    const { held } = await sweep()
    await sweep(held?.token)
    world.now += 3_600_001
    world.host.resources.delete('MqttUser/default/user-30')
    expect(await sweep()).toEqual({ removed: 1 })
  })

  test('nothing of it is felt by who deletes on purpose, however many', async () => {
    await world.apply(...manyUsers(30))
    for (let index = 0; index < 30; index += 1) await world.delete('MqttUser', `user-${index}`)
    expect(await users()).toBe(0)
    expect(await sweep()).toEqual({ removed: 0 })
  })
})

test('a record that can not be removed holds up neither the others nor the sweep, but a store that is away does', async () => {
  await world.apply(...manyUsers(3))
  showNothingOf('MqttUser')
  world.forget()
  const remove = world.store.remove.bind(world.store)
  world.store.remove = async (type, id, name) => {
    if (name === 'user-1') throw new DomainError('record-damaged', 'damaged')
    return await remove(type, id, name)
  }
  expect(await sweep()).toEqual({ removed: 2 })
  expect(await world.store.names('user', org)).toEqual(['user-1'])
  world.store.remove = () => Promise.reject(new DomainError('store-unavailable', 'away'))
  await expect(sweep()).rejects.toMatchObject({ code: 'store-unavailable' })
})
