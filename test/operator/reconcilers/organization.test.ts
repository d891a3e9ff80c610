import { generate } from 'selfsigned'
import { beforeEach, describe, expect, test } from 'vitest'
import { deriveShortId } from '#core/organizations/organization-id.ts'
import { ReconcileWorld } from '../../fixtures/reconcile-world.ts'
import { aList, anOrganizationResource, aResource, aUserResource } from '../../fixtures/resources.ts'

const org = 'org_k7xm4pqr2n5t'
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
