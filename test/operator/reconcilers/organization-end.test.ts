/** The end of an Organization, and of users that are left without one. */
import { beforeEach, describe, expect, test } from 'vitest'
import { DomainError } from '#core/errors.ts'
import { MemoryPurgeMarks } from '#core/stores/memory-purge-marks.ts'
import { ReconcileWorld } from '../../fixtures/reconcile-world.ts'
import { aList, anOrganizationResource, aResource, aUserResource } from '../../fixtures/resources.ts'

const org = 'org_k7xm4pqr2n5t'
const acme = { kind: 'Organization', namespace: 'default', name: 'acme' } as const
const shortId = 'k7xm4pqr2n5t'
const lists = { accessListRefs: [{ name: 'devices' }] }

let world: ReconcileWorld
beforeEach(() => {
  world = new ReconcileWorld()
})
const record = (id: `org_${string}` = org) => world.store.get('organization', id, 'organization')

describe('the end of an Organization', () => {
  test('denies everybody first, then takes everything of it along, and nothing of another', async () => {
    const other = aResource('Organization', 'other', { shortId: 'aaaabbbbcccc' })
    const organizationRef = { name: 'other' }
    await world.apply(
      anOrganizationResource(),
      aList('devices'),
      aUserResource('ada', lists),
      aResource('ApiKey', 'key', { organizationRef: { name: 'acme' }, type: 'secret', scopes: ['exchange'] }),
      other,
      aUserResource('bob', { organizationRef }),
    )
    world.log.length = 0
    await world.delete('Organization', 'acme')
    expect(world.log.map(({ type }) => type)).toEqual([
      'organization',
      'user',
      'access-list',
      'api-key',
      'barrier',
    ])
    expect(await world.store.organizations()).toEqual(['org_aaaabbbbcccc'])
    expect(await world.store.names('user', 'org_aaaabbbbcccc')).toEqual(['bob'])
    expect(world.host.get('Organization', 'default', 'acme')).toBeUndefined()
    expect(world.ready('MqttUser', 'ada')).toBe('False OrganizationNotFound')
  })

  test('comes when its record can be removed, and is tried again until then', async () => {
    await world.apply(anOrganizationResource())
    const remove = world.store.remove.bind(world.store)
    world.store.remove = () => Promise.reject(new Error('away'))
    await expect(world.delete('Organization', 'acme')).rejects.toThrow('away')
    world.now += 299_000
    await expect(world.changed(acme)).rejects.toThrow('away')
    expect(world.host.get('Organization', 'default', 'acme')?.metadata.deletionTimestamp).toBeDefined()
    expect(world.woken).toEqual([
      { ...acme, withinMs: 300_000 },
      { ...acme, withinMs: 1_000 },
    ])
    world.store.remove = remove
    await world.changed(acme)
    expect(world.host.get('Organization', 'default', 'acme')).toBeUndefined()
    expect(world.host.events.filter(({ reason }) => reason === 'RecordLeft')).toEqual([])
  })

  test('comes after five minutes in any case, with a warning; its records go when they can, however many', async () => {
    const users = Array.from({ length: 30 }, (_, index) => aUserResource(`user-${index}`))
    await world.apply(anOrganizationResource(), ...users)
    const remove = world.store.remove.bind(world.store)
    world.store.remove = () => Promise.reject(new DomainError('store-unavailable', 'away'))
    await expect(world.delete('Organization', 'acme')).rejects.toThrow('away')
    world.now += 300_000
    await world.changed(acme)
    expect(world.host.get('Organization', 'default', 'acme')).toBeUndefined()
    const told = world.host.events.filter(({ reason }) => reason === 'RecordLeft')
    expect(told).toMatchObject([{ type: 'Warning', kind: 'Organization', name: 'acme' }])
    world.store.remove = remove
    expect(await world.reconcilers.sweepOrphans()).toEqual({ removed: 31 })
    expect(await world.store.organizations()).toEqual([])
    expect(world.ready('MqttUser', 'user-3')).toBe('False OrganizationNotFound')
  })

  test('leaves the records of one that is made anew under its name before the sweep', async () => {
    await world.apply(anOrganizationResource(), aUserResource('ada'))
    const remove = world.store.remove.bind(world.store)
    world.store.remove = () => Promise.reject(new DomainError('store-unavailable', 'away'))
    await expect(world.delete('Organization', 'acme')).rejects.toThrow('away')
    world.now += 300_000
    await world.changed(acme)
    world.store.remove = remove
    await world.apply(anOrganizationResource({ shortId, displayName: 'New' }, { uid: 'another' }))
    expect(await world.reconcilers.sweepOrphans()).toEqual({ removed: 0 })
    expect((await record())?.displayName).toBe('New')
    expect(await world.store.names('user', org)).toEqual(['ada'])
  })
})

describe('what an Organization that is gone has left', () => {
  let marks: MemoryPurgeMarks
  beforeEach(() => {
    marks = new MemoryPurgeMarks()
  })
  const finish = async (): Promise<void> => {
    const tombstone = await world.store.tombstoneOf(org)
    if (tombstone !== undefined) await marks.mark(tombstone, 'purged', world.now)
  }
  const useBrokers = (has: boolean): void => {
    world.purges = Object.assign(marks, { hasBroker: async () => has })
    world.forget()
  }
  const isThere = (): boolean => world.host.get('Organization', 'default', 'acme') !== undefined
  const toldOf = (reason: string): object[] => world.host.events.filter((each) => each.reason === reason)

  test('holds the object until brokers have removed it, and says so', async () => {
    await world.apply(anOrganizationResource(), aUserResource('ada'))
    useBrokers(true)
    await world.delete('Organization', 'acme')
    expect(await world.store.organizations()).toEqual([])
    expect(world.ready('Organization', 'acme')).toBe('False Purging')
    expect(await world.reconcilers.byKind.Organization.reconcile(acme)).toEqual({ againAfterMs: 500 })
    await finish()
    await world.changed(acme)
    expect(isThere()).toBe(false)
    expect(toldOf('PurgeLeft')).toEqual([])
  })

  test('holds it no longer than five minutes, with a warning', async () => {
    await world.apply(anOrganizationResource())
    useBrokers(true)
    await world.delete('Organization', 'acme')
    world.now += 299_000
    await world.changed(acme)
    expect(isThere()).toBe(true)
    world.now += 1_000
    await world.changed(acme)
    expect(isThere()).toBe(false)
    expect(toldOf('PurgeLeft')).toMatchObject([{ type: 'Warning', kind: 'Organization', name: 'acme' }])
  })

  test('holds nothing where no broker runs', async () => {
    await world.apply(anOrganizationResource())
    useBrokers(false)
    await world.delete('Organization', 'acme')
    expect(isThere()).toBe(false)
    expect(await world.store.tombstoneOf(org)).toBeDefined()
  })

  test('holds nothing for ever where the store goes away while it is waited for', async () => {
    await world.apply(anOrganizationResource())
    useBrokers(true)
    await world.delete('Organization', 'acme')
    const away = (): Promise<never> => Promise.reject(new DomainError('store-unavailable', 'away'))
    world.store.tombstoneOf = away
    await expect(world.changed(acme)).rejects.toThrow('away')
    world.now += 300_000
    await world.changed(acme)
    expect(isThere()).toBe(false)
    expect(toldOf('PurgeLeft')).toHaveLength(1)
  })

  test('keeps one of the same short id out until it is removed, by whatever name', async () => {
    await world.apply(anOrganizationResource())
    useBrokers(false)
    await world.delete('Organization', 'acme')
    const heir = aResource('Organization', 'heir', { shortId })
    await world.apply(heir, aUserResource('ada', { organizationRef: { name: 'heir' } }))
    expect(world.ready('Organization', 'heir')).toBe('False Purging')
    expect(await record()).toBeUndefined()
    expect(await world.reconcilers.byKind.Organization.reconcile(heir.metadata)).toEqual({
      againAfterMs: 500,
    })
    await finish()
    await world.changed({ kind: 'Organization', namespace: 'default', name: 'heir' })
    expect(world.ready('Organization', 'heir')).toBe('True Synced')
    expect((await record())?.source).toBe('default/heir')
    expect(await world.store.tombstoneOf(org)).toBeUndefined()
  })

  test('costs no look at a Secret while another Organization waits for it', async () => {
    await world.apply(anOrganizationResource())
    useBrokers(false)
    await world.delete('Organization', 'acme')
    const clientCASecretRef = { name: 'authorities' }
    await world.apply(aResource('Organization', 'heir', { shortId, clientCASecretRef }))
    expect([world.ready('Organization', 'heir'), world.host.secretReads]).toEqual(['False Purging', 0])
    await finish()
    await world.changed({ kind: 'Organization', namespace: 'default', name: 'heir' })
    expect([world.ready('Organization', 'heir'), world.host.secretReads]).toEqual(['False SecretNotFound', 1])
  })

  test('of a former deletion does not count for a later one', async () => {
    useBrokers(false)
    await world.apply(anOrganizationResource())
    await world.delete('Organization', 'acme')
    await finish()
    await world.apply(anOrganizationResource())
    expect(world.ready('Organization', 'acme')).toBe('True Synced')
    await world.delete('Organization', 'acme')
    await world.apply(anOrganizationResource())
    expect(world.ready('Organization', 'acme')).toBe('False Purging')
  })

  test('is removed also where the object was only missed by the sweep, by its own policy', async () => {
    await world.apply(anOrganizationResource({ shortId, deletionPolicy: 'Retain' }))
    expect((await record())?.retain).toBe(true)
    world.host.resources.delete('Organization/default/acme')
    expect(await world.restart()).toBe(1)
    expect(await world.store.tombstoneOf(org)).toMatchObject({ retains: true })
  })

  test('is forgotten when brokers have looked twice, and not while it is retained or stands no more', async () => {
    useBrokers(false)
    const kept = aResource('Organization', 'kept', { shortId: 'aaaabbbbcccc', deletionPolicy: 'Retain' })
    await world.apply(anOrganizationResource(), kept)
    for (const name of ['acme', 'kept']) await world.delete('Organization', name)
    const [own, other] = [
      await world.store.tombstoneOf(org),
      await world.store.tombstoneOf('org_aaaabbbbcccc'),
    ]
    if (own === undefined || other === undefined) throw new Error('there are no tombstones')
    await world.reconcilers.forgetGone()
    for (const each of [own, other]) await marks.mark(each, 'purged', world.now)
    await world.reconcilers.forgetGone()
    expect(await world.store.tombstones()).toEqual([own, other])
    for (const each of [own, other]) await marks.mark(each, 'settled', world.now)
    await world.reconcilers.forgetGone()
    expect(await world.store.tombstones()).toEqual([other])
  })
})

describe('the end of a user', () => {
  const ada = { kind: 'MqttUser', namespace: 'default', name: 'ada' } as const

  test('needs neither its Organization, nor its list, nor its Secret', async () => {
    await world.apply(anOrganizationResource(), aList('devices'), aUserResource('ada', lists))
    world.host.resources.delete('Organization/default/acme')
    world.host.resources.delete('AccessList/default/devices')
    world.host.secrets.clear()
    world.host.failure = new Error('no Secret is ever read')
    await world.delete('MqttUser', 'ada')
    expect(world.host.get('MqttUser', 'default', 'ada')).toBeUndefined()
    expect(await world.store.names('user', org)).toEqual([])
  })

  test('comes without them after a restart too, and the sweep removes what it can not name any more', async () => {
    await world.apply(anOrganizationResource(), aList('devices'), aUserResource('ada', lists))
    world.host.resources.delete('Organization/default/acme')
    world.host.resources.delete('AccessList/default/devices')
    world.forget()
    await world.delete('MqttUser', 'ada')
    expect(world.host.get('MqttUser', 'default', 'ada')).toBeUndefined()
    await world.reconcilers.sweepOrphans()
    expect(await world.store.organizations()).toEqual([])
  })

  test('comes after five minutes when it can not even be known whether somebody meant it, and is judged by the brake', async () => {
    await world.apply(anOrganizationResource(), aList('devices'), aUserResource('ada', lists))
    world.host.fateOf = () => Promise.reject(new Error('the API server fails'))
    await expect(world.delete('MqttUser', 'ada')).rejects.toThrow('fails')
    world.now += 300_000
    await world.changed(ada)
    expect(world.host.get('MqttUser', 'default', 'ada')).toBeUndefined()
    expect(await world.store.names('user', org)).toEqual(['ada'])
    expect(await world.reconcilers.sweepOrphans()).toEqual({ removed: 1 })
  })
})
