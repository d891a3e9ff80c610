import { beforeEach, describe, expect, test } from 'vitest'
import { ReconcileWorld } from '../../fixtures/reconcile-world.ts'
import { acme, aList, anOrganizationResource, aResource, aUserResource } from '../../fixtures/resources.ts'

const org = 'org_k7xm4pqr2n5t'
const lists = { accessListRefs: [{ name: 'devices' }] }

let world: ReconcileWorld
beforeEach(async () => {
  world = new ReconcileWorld()
  await world.apply(anOrganizationResource(), aList('devices'))
})

const ada = () => world.store.get('user', org, 'ada')

describe('where a user belongs', () => {
  test('nobody gets in where there is no Organization of that name', async () => {
    await world.apply(aUserResource('ada', { organizationRef: { name: 'none' }, access: [] }))
    expect(world.ready('MqttUser', 'ada')).toBe('False OrganizationNotFound')
    expect(await world.store.organizations()).toEqual([org])
    expect(world.host.secrets.size).toBe(0)
  })

  test('another namespace needs the permission of the Organization, and lives under its ceiling', async () => {
    const elsewhere = aUserResource(
      'ada',
      { organizationRef: { name: 'acme', namespace: 'default' }, ...lists },
      { namespace: 'team-a' },
    )
    await world.apply(elsewhere)
    expect(world.ready('MqttUser', 'ada', 'team-a')).toBe('False NamespaceNotAllowed')
    expect(await ada()).toBeUndefined()

    const shortId = 'k7xm4pqr2n5t'
    await world.apply(anOrganizationResource({ shortId, allowedNamespaces: [{ name: 'team-a', ...lists }] }))
    expect(world.ready('MqttUser', 'ada', 'team-a')).toBe('True Synced')
    expect((await ada())?.access).toEqual({ lists: ['devices'], rules: [], ceilings: [['devices']] })

    await world.apply(anOrganizationResource({ shortId, allowedNamespaces: [{ name: 'team-b' }] }))
    expect(world.ready('MqttUser', 'ada', 'team-a')).toBe('False NamespaceNotAllowed')
    expect(await ada()).toBeUndefined()
  })

  test('a username belongs to the older user, until that one goes', async () => {
    const young = { creationTimestamp: '2026-11-24T11:00:00Z' }
    await world.apply(aUserResource('young', { username: 'ada', ...lists }, young))
    await world.apply(aUserResource('ada', lists))
    expect(world.ready('MqttUser', 'young')).toBe('False UsernameConflict')
    expect(world.message('MqttUser', 'young')).toContain('default/ada')
    expect((await ada())?.uid).toBe('uid-MqttUser-default-ada')
    await world.delete('MqttUser', 'ada')
    expect(world.ready('MqttUser', 'young')).toBe('True Synced')
    expect((await ada())?.uid).toBe('uid-MqttUser-default-young')
  })

  test('deleting the loser leaves the older user in peace', async () => {
    const young = { creationTimestamp: '2026-11-24T11:00:00Z' }
    await world.apply(
      aUserResource('ada', lists),
      aUserResource('young', { username: 'ada', ...lists }, young),
    )
    await world.restart()
    await world.delete('MqttUser', 'young')
    expect((await ada())?.uid).toBe('uid-MqttUser-default-ada')
  })

  test('right after a restart the loser neither takes the name nor its record away, alive or deleted', async () => {
    const young = { creationTimestamp: '2026-11-24T11:00:00Z' }
    await world.apply(
      aUserResource('ada', lists),
      aUserResource('young', { username: 'ada', ...lists }, young),
    )
    world.forget()
    await world.reconcilers.byKind.MqttUser.reconcile({ namespace: 'default', name: 'young' })
    expect((await ada())?.uid).toBe('uid-MqttUser-default-ada')
    world.host.delete('MqttUser', 'default', 'young')
    await world.reconcilers.byKind.MqttUser.reconcile({ namespace: 'default', name: 'young' })
    expect((await ada())?.uid).toBe('uid-MqttUser-default-ada')
  })

  test('nobody gets in while the Organization is being deleted', async () => {
    await world.apply(aUserResource('ada', lists))
    world.host.delete('Organization', 'default', 'acme')
    await world.changed({ kind: 'MqttUser', namespace: 'default', name: 'ada' })
    expect(world.ready('MqttUser', 'ada')).toBe('False OrganizationNotFound')
    await world.changed({ kind: 'Organization', namespace: 'default', name: 'acme' })
    expect(await world.store.get('organization', org, 'organization')).toBeUndefined()
    expect(await ada()).toBeUndefined()
  })

  test('a user that may not belong here holds no name here', async () => {
    const old = { namespace: 'evil', creationTimestamp: '2020-01-01T00:00:00Z' }
    const organizationRef = { name: 'acme', namespace: 'default' }
    await world.apply(aUserResource('ada', { organizationRef, ...lists }, old), aUserResource('ada', lists))
    expect(world.ready('MqttUser', 'ada')).toBe('True Synced')
    expect((await ada())?.uid).toBe('uid-MqttUser-default-ada')
  })
})

describe('what a user may do', () => {
  test('a list that is not there is named, and the record written all the same', async () => {
    await world.apply(aUserResource('ada', { accessListRefs: [{ name: 'devices' }, { name: 'none' }] }))
    expect(world.ready('MqttUser', 'ada')).toBe('False AccessListNotFound')
    expect(world.message('MqttUser', 'ada')).toContain('no AccessList none')
    expect((await ada())?.access.lists).toEqual(['devices', 'none'])
    await world.apply(aList('none'))
    expect(world.ready('MqttUser', 'ada')).toBe('True Synced')
    await world.delete('AccessList', 'none')
    expect(world.ready('MqttUser', 'ada')).toBe('False AccessListNotFound')
  })

  test('a list of another Organization in the namespace is none', async () => {
    const other = aResource('Organization', 'other', { shortId: 'aaaabbbbcccc' })
    const list = aResource('AccessList', 'theirs', { organizationRef: { name: 'other' }, rules: [] })
    await world.apply(other, list, aUserResource('ada', { accessListRefs: [{ name: 'theirs' }] }))
    expect(world.ready('MqttUser', 'ada')).toBe('False AccessListNotFound')
  })

  test('without any list or rule it says NoAccess, with a default list it does not', async () => {
    await world.apply(aUserResource('ada'))
    expect(world.ready('MqttUser', 'ada')).toBe('False NoAccess')
    expect(await ada()).toBeDefined()
    await world.apply(
      anOrganizationResource({ shortId: 'k7xm4pqr2n5t', defaultAccessListRefs: [{ name: 'devices' }] }),
    )
    expect(world.ready('MqttUser', 'ada')).toBe('True Synced')
  })

  test('with lists and rules that allow nothing it says NoAccess, and why', async () => {
    const rule = (effect: 'allow' | 'deny', topic: string) => ({
      effect,
      actions: ['publish' as const],
      topics: [topic],
    })
    await world.apply(aUserResource('ada', { access: [rule('deny', 'a')] }))
    expect(world.ready('MqttUser', 'ada')).toBe('False NoAccess')
    expect(world.message('MqttUser', 'ada')).toBe('no rule of its lists allows anything')
    await world.apply(aList('people', ['users/{user_id}/#', 'rooms/{claims.room}']))
    await world.apply(aUserResource('ada', { accessListRefs: [{ name: 'people' }] }))
    expect(world.ready('MqttUser', 'ada')).toBe('False NoAccess')
    expect(world.message('MqttUser', 'ada')).toBe(
      'no rule that allows anything applies: {user_id}, {claims.room} can have no value here',
    )
    await world.apply(aList('people', ['users/{user_id}/#', 'clients/{client_id}/{username}/{org_id}']))
    expect(world.ready('MqttUser', 'ada')).toBe('True Synced')
  })

  test('a ceiling of its own bounds it, and is waited for', async () => {
    const ceilingAccessListRefs = [{ name: 'tenant' }]
    await world.apply(aUserResource('ada', { ...lists, ceilingAccessListRefs }))
    expect((await ada())?.access).toEqual({ lists: ['devices'], rules: [], ceilings: [['tenant']] })
    expect(world.ready('MqttUser', 'ada')).toBe('False AccessListNotFound')
    await world.apply(aList('tenant'))
    expect(world.ready('MqttUser', 'ada')).toBe('True Synced')
    await world.apply(aUserResource('ada', { ...lists, ceilingAccessListRefs: [] }))
    expect((await ada())?.access.ceilings).toEqual([[]])
    expect(world.ready('MqttUser', 'ada')).toBe('False NoAccess')
  })

  test('a ceiling counts: one whose list is not there, and one that names none', async () => {
    const shortId = 'k7xm4pqr2n5t'
    const ceiling = (names: string[]) => {
      const accessListRefs = names.map((name) => ({ name }))
      return anOrganizationResource({ shortId, allowedNamespaces: [{ name: 'team-a', accessListRefs }] })
    }
    const organizationRef = { name: 'acme', namespace: 'default' }
    const user = aUserResource('ada', { organizationRef, ...lists }, { namespace: 'team-a' })
    await world.apply(ceiling(['none']), user)
    expect(world.ready('MqttUser', 'ada', 'team-a')).toBe('False AccessListNotFound')
    await world.apply(ceiling([]))
    expect(world.ready('MqttUser', 'ada', 'team-a')).toBe('False NoAccess')
    expect((await ada())?.access.ceilings).toEqual([[]])
    await world.apply(aList('idle', ['users/{user_id}/#']), ceiling(['idle']))
    expect(world.message('MqttUser', 'ada', 'team-a')).toBe('no list of a ceiling around it allows anything')
    await world.apply(ceiling(['devices']))
    expect(world.ready('MqttUser', 'ada', 'team-a')).toBe('True Synced')
  })

  test('rules of its own count as access', async () => {
    const access = [{ effect: 'allow' as const, actions: ['publish' as const], topics: ['a'] }]
    await world.apply(aUserResource('ada', { access }))
    expect(world.ready('MqttUser', 'ada')).toBe('True Synced')
    expect((await ada())?.access.rules).toEqual(access)
  })

  test('rules that can not be used leave the former in force, but a suspension counts at once', async () => {
    const rule = (topic: string) => ({
      effect: 'allow' as const,
      actions: ['publish' as const],
      topics: [topic],
    })
    await world.apply(aUserResource('ada', { access: [rule('a')] }))
    await world.apply(aUserResource('ada', { access: [rule('a/#/b')], suspended: true }))
    expect(world.ready('MqttUser', 'ada')).toBe('False InvalidRules')
    expect(world.message('MqttUser', 'ada')).toContain('spec.access[0].topics[0]="a/#/b"')
    expect(await ada()).toMatchObject({ suspended: true, access: { rules: [rule('a')] } })
  })

  test('rules that can not be used inherit nothing of a former user of the name', async () => {
    await world.apply(aUserResource('ada', lists))
    world.host.resources.delete('MqttUser/default/ada')
    world.host.secrets.clear()
    const access = [{ effect: 'allow' as const, actions: ['publish' as const], topics: ['a/#/b'] }]
    await world.apply(aUserResource('ada', { access }, { uid: 'another' }))
    expect(await ada()).toBeUndefined()
  })

  test('rules that never could be used let nobody in', async () => {
    const access = [{ effect: 'allow' as const, actions: ['publish' as const], topics: ['{nobody}'] }]
    await world.apply(aUserResource('ada', { access }))
    expect(world.ready('MqttUser', 'ada')).toBe('False InvalidRules')
    expect(await ada()).toBeUndefined()
  })
})

describe('the end of a user', () => {
  test('suspended, the record says so and Ready is False', async () => {
    await world.apply(aUserResource('ada', { ...lists, suspended: true }))
    expect(await ada()).toMatchObject({ suspended: true })
    expect(world.ready('MqttUser', 'ada')).toBe('False Suspended')
    await world.apply(aUserResource('ada', lists))
    expect(await ada()).toMatchObject({ suspended: false })
    expect(world.ready('MqttUser', 'ada')).toBe('True Synced')
  })

  test('deleted, its record goes, the log tells, and then the finalizer', async () => {
    await world.apply(aUserResource('ada', lists))
    expect(world.host.get('MqttUser', 'default', 'ada')?.metadata.finalizers).toHaveLength(1)
    world.log.length = 0
    await world.delete('MqttUser', 'ada')
    expect(await ada()).toBeUndefined()
    expect(world.log).toEqual([{ type: 'user', organization: org, name: 'ada' }])
    expect(world.host.get('MqttUser', 'default', 'ada')).toBeUndefined()
  })

  test('deleted after a restart, its record goes as well', async () => {
    await world.apply(aUserResource('ada', lists))
    world.forget()
    await world.delete('MqttUser', 'ada')
    expect(await ada()).toBeUndefined()
  })

  test('deleted with Retain it stays, over a restart too, until a resource of its name goes without', async () => {
    await world.apply(aUserResource('ada', { ...lists, deletionPolicy: 'Retain' }))
    const before = await ada()
    await world.delete('MqttUser', 'ada')
    expect(world.host.get('MqttUser', 'default', 'ada')).toBeUndefined()
    await world.restart()
    expect(await ada()).toEqual(before)
    world.host.secrets.clear()
    await world.apply(aUserResource('ada', lists))
    await world.delete('MqttUser', 'ada')
    expect(await ada()).toBeUndefined()
  })

  test('deleted with Retain it goes with the Organization all the same', async () => {
    await world.apply(aUserResource('ada', { ...lists, deletionPolicy: 'Retain' }))
    await world.delete('MqttUser', 'ada')
    await world.delete('Organization', 'acme')
    expect(await ada()).toBeUndefined()
  })

  test('a user made anew under the name gets a password of its own', async () => {
    await world.apply(aUserResource('ada', lists))
    const before = await ada()
    await world.delete('MqttUser', 'ada')
    world.host.secrets.delete('default/ada-mqtt')
    await world.apply(aUserResource('ada', { ...acme, ...lists }, { uid: 'another' }))
    expect((await ada())?.uid).toBe('another')
    expect((await ada())?.verifiers).not.toEqual(before?.verifiers)
  })
})
