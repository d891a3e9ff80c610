import { generate } from 'selfsigned'
import { beforeEach, describe, expect, test } from 'vitest'
import { DomainError } from '#core/errors.ts'
import { MemoryPurgeMarks } from '#core/stores/memory-purge-marks.ts'
import { deriveShortId } from '#core/organizations/organization-id.ts'
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

describe('the record of an Organization', () => {
  test('holds what the spec leaves out as it is by default', async () => {
    await world.apply(anOrganizationResource())
    expect(await record()).toEqual({
      source: 'default/acme',
      suspended: false,
      defaultLists: [],
      credentials: { defaultTtl: 3600, maxTtl: 3600, maxLifetime: 3600 },
      exchange: { anonymous: false },
      sessionMaxExpiry: 86_400,
      limits: {},
      willOnExpiry: 'publish',
      durability: 'stored',
    })
    expect(world.ready('Organization', 'acme')).toBe('True Synced')
    expect(world.host.get('Organization', 'default', 'acme')?.status?.shortId).toBe(org)
  })

  test('holds what the spec says, in seconds and names', async () => {
    await world.apply(
      aList('devices'),
      anOrganizationResource({
        shortId,
        displayName: 'Acme',
        defaultAccessListRefs: [{ name: 'devices' }],
        credentials: { defaultTtl: '5m', maxTtl: '2h' },
        exchange: { anonymous: true, public: { origins: ['https://a'], limits: { perMinute: 5 } } },
        sessions: { maxExpiry: '30s' },
        limits: { connections: 3 },
        willOnExpiry: 'discard',
        durability: 'replicated',
        webSocketOrigins: ['https://b'],
      }),
    )
    expect(await record()).toEqual({
      source: 'default/acme',
      displayName: 'Acme',
      suspended: false,
      defaultLists: ['devices'],
      credentials: { defaultTtl: 300, maxTtl: 7200, maxLifetime: 7200 },
      exchange: { anonymous: true, public: { origins: ['https://a'], perMinute: 5 } },
      sessionMaxExpiry: 30,
      limits: { connections: 3 },
      willOnExpiry: 'discard',
      durability: 'replicated',
      webSocketOrigins: ['https://b'],
    })
  })

  test('says that it is suspended, and so do its users', async () => {
    await world.apply(anOrganizationResource(), aList('devices'), aUserResource('ada', lists))
    await world.apply(anOrganizationResource({ shortId, suspended: true }))
    expect((await record())?.suspended).toBe(true)
    expect(world.ready('Organization', 'acme')).toBe('False Suspended')
    expect(world.ready('MqttUser', 'ada')).toBe('False OrganizationSuspended')
    await world.apply(anOrganizationResource())
    expect(world.ready('MqttUser', 'ada')).toBe('True Synced')
  })

  test('names a default list that is not there', async () => {
    await world.apply(anOrganizationResource({ shortId, defaultAccessListRefs: [{ name: 'none' }] }))
    expect(world.ready('Organization', 'acme')).toBe('False AccessListNotFound')
    expect((await record())?.defaultLists).toEqual(['none'])
    await world.apply(aList('none'))
    expect(world.ready('Organization', 'acme')).toBe('True Synced')
  })
})

describe('authorities of client certificates', () => {
  const withAuthorities = { shortId, clientCASecretRef: { name: 'authorities' } }
  const bring = async (data: Record<string, string>): Promise<void> => {
    world.host.putSecret('default', 'authorities', data)
    await world.secretChanged('authorities')
  }

  test('come into the record from the Secret, each by itself, and change and go with it', async () => {
    const [one, two] = [await authority(), await authority()]
    world.host.putSecret('default', 'authorities', { 'ca.crt': `# both\n${one}\n${two}` })
    await world.apply(anOrganizationResource(withAuthorities))
    expect(world.ready('Organization', 'acme')).toBe('True Synced')
    expect((await record())?.clientAuthorities).toEqual([one, two].map((text) => text.trim()))
    await bring({ 'ca.crt': two })
    expect((await record())?.clientAuthorities).toEqual([two.trim()])
    await world.apply(anOrganizationResource())
    expect(await record()).not.toHaveProperty('clientAuthorities')
  })

  test('that are not there are named, and none counts', async () => {
    await world.apply(anOrganizationResource(withAuthorities))
    expect(world.ready('Organization', 'acme')).toBe('False SecretNotFound')
    await bring({ other: 'x' })
    expect(world.ready('Organization', 'acme')).toBe('False SecretKeyMissing')
    expect(await record()).not.toHaveProperty('clientAuthorities')
  })

  test.each<[string, () => Promise<string>, string]>([
    ['no certificate', async () => 'hello', 'holds no certificate'],
    ['a private key', async () => (await selfsigned(isAuthority)).private, 'holds a private key'],
    ['a certificate that is no authority', async () => (await selfsigned()).cert, 'is missing'],
    ['what looks like one', async () => pem('AAAA'), 'can not be read'],
    ['too many', async () => (await authority()).repeat(17), 'more than 16'],
  ])('with %s are refused, and none counts', async (_what, text, words) => {
    world.host.putSecret('default', 'authorities', { 'ca.crt': await text() })
    await world.apply(anOrganizationResource(withAuthorities))
    expect(world.ready('Organization', 'acme')).toBe('False SecretUnusable')
    expect(world.message('Organization', 'acme')).toContain(words)
    expect(await record()).not.toHaveProperty('clientAuthorities')
  })
})

const isAuthority = [{ name: 'basicConstraints', cA: true }] as const
const pem = (body: string): string => `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`
const selfsigned = (extensions: readonly object[] = [{ name: 'basicConstraints' }]) =>
  generate([{ name: 'commonName', value: 'x' }], { keySize: 2048, extensions } as never)
const authority = async (): Promise<string> => (await selfsigned(isAuthority)).cert

describe('a short id', () => {
  test('is derived where there is none, pinned, and the same again when it was lost', async () => {
    const derived = deriveShortId('test', 'default', 'acme')
    await world.apply(anOrganizationResource({}))
    expect(world.host.get('Organization', 'default', 'acme')?.spec.shortId).toBe(derived)
    expect(await record(`org_${derived}`)).toBeDefined()
    await world.apply(anOrganizationResource({}))
    expect(world.host.get('Organization', 'default', 'acme')?.spec.shortId).toBe(derived)
  })

  test('belongs to the older of two Organizations; the other writes nothing, nor do its users', async () => {
    const later = { creationTimestamp: '2026-11-24T11:00:00Z' }
    const thief = aResource('Organization', 'thief', { shortId, displayName: 'Thief' }, later)
    const intruder = aUserResource('ada', { organizationRef: { name: 'thief' } })
    await world.apply(anOrganizationResource(), thief, intruder)
    expect(world.ready('Organization', 'thief')).toBe('False ShortIdConflict')
    expect(world.message('Organization', 'thief')).toContain('default/acme')
    expect(world.ready('MqttUser', 'ada')).toBe('False ShortIdConflict')
    expect((await record())?.displayName).toBeUndefined()
    expect(await world.store.names('user', org)).toEqual([])
    expect(world.host.get('Organization', 'default', 'thief')?.status?.shortId).toBeUndefined()
  })

  test('goes to the other one, with its users, when the older is deleted', async () => {
    const later = { creationTimestamp: '2026-11-24T11:00:00Z' }
    const organizationRef = { name: 'heir' }
    await world.apply(
      anOrganizationResource(),
      aList('devices'),
      aUserResource('bob', lists),
      aResource('Organization', 'heir', { shortId }, later),
      aResource('AccessList', 'theirs', { organizationRef, rules: [] }),
      aUserResource('ada', { organizationRef, accessListRefs: [{ name: 'theirs' }] }),
    )
    await world.delete('Organization', 'acme')
    expect(world.ready('Organization', 'heir')).toBe('True Synced')
    expect((await record())?.source).toBe('default/heir')
    expect(await world.store.names('user', org)).toEqual(['ada'])
    expect(await world.store.names('access-list', org)).toEqual(['theirs'])
    expect(world.ready('MqttUser', 'bob')).toBe('False OrganizationNotFound')
  })

  test('stays with its new holder, and what that one’s members have written, when the former one is found gone afterwards', async () => {
    const later = { creationTimestamp: '2026-11-24T11:00:00Z' }
    const heir = aResource('Organization', 'heir', { shortId }, later)
    await world.apply(anOrganizationResource(), heir)
    world.host.resources.delete('Organization/default/acme')
    const organizationRef = { name: 'heir' }
    await world.apply(aResource('AccessList', 'theirs', { organizationRef, rules: [] }))
    await world.reconcilers.byKind.Organization.reconcile({ namespace: 'default', name: 'acme' })
    expect(await world.store.names('access-list', org)).toEqual(['theirs'])
    await world.changed({ kind: 'Organization', namespace: 'default', name: 'heir' })
    await world.changed({ kind: 'Organization', namespace: 'default', name: 'acme' })
    expect((await record())?.source).toBe('default/heir')
  })

  test('stays with the older one when the other is deleted', async () => {
    const later = { creationTimestamp: '2026-11-24T11:00:00Z' }
    const thief = aResource('Organization', 'thief', { shortId }, later)
    await world.apply(anOrganizationResource(), aList('devices'), aUserResource('ada', lists), thief)
    await world.restart()
    await world.delete('Organization', 'thief')
    expect(await record()).toBeDefined()
    expect(await world.store.names('user', org)).toEqual(['ada'])
  })
})

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
  const marks = new MemoryPurgeMarks()
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
