import { generateKeyPairSync } from 'node:crypto'
import { beforeEach, describe, expect, test } from 'vitest'
import { DomainError } from '#core/errors.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { IdentityProviderSpec } from '#core/resources/identity-provider.ts'
import { ReconcileWorld } from '../../fixtures/reconcile-world.ts'
import { aCredential } from '../../fixtures/records.ts'
import { acme, aList, anOrganizationResource, aResource } from '../../fixtures/resources.ts'

/** Providers.md, section 2: deleting or disabling a provider must revoke the credentials that it minted. */
const org: OrganizationId = 'org_k7xm4pqr2n5t'
const base = { ...acme, accessListRefs: [{ name: 'devices' }] }
const ofType = <T extends IdentityProviderSpec['type']>(
  type: T,
  settings: NonNullable<IdentityProviderSpec[T]>,
  more: Partial<IdentityProviderSpec> = {},
): IdentityProviderSpec => ({ ...base, ...more, type, [type]: settings })
const oidc = (
  settings: Partial<NonNullable<IdentityProviderSpec['oidc']>> = {},
  more: Partial<IdentityProviderSpec> = {},
): IdentityProviderSpec =>
  ofType('oidc', { issuer: 'https://issuer.example.com', audience: ['app'], ...settings }, more)
const login = (spec: IdentityProviderSpec = oidc(), over: { uid?: string; namespace?: string } = {}) =>
  aResource('IdentityProvider', 'login', spec, over)

let world: ReconcileWorld
let issued: number
beforeEach(async () => {
  world = new ReconcileWorld()
  issued = 0
  await world.apply(anOrganizationResource(), aList('devices'))
})

async function exchange(provider = 'login', organization = org): Promise<() => Promise<boolean>> {
  issued += 1
  world.now += 1
  const local = `tmp_${issued}`
  await world.credentials.create(organization, local, aCredential(local, 'x', { provider }), 3600)
  world.now += 1
  return async () => (await world.credentials.get(organization, local)) !== undefined
}
const jwtSecret = 'super-secret-jwt-token-with-at-least-32-characters'
const aPublicKey = (): string =>
  generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({
    format: 'pem',
    type: 'spki',
  }) as string
const record = () => world.store.get('provider', org, 'login')
const told = () => world.host.events.filter(({ reason }) => reason === 'IssuedEnded')

describe('what was exchanged at an IdentityProvider ends', () => {
  test('when it is deleted, for which the object waits; and nothing else ends', async () => {
    const elsewhere: OrganizationId = 'org_aaaaaaaaaaaa'
    await world.apply(
      anOrganizationResource({ shortId: 'aaaaaaaaaaaa' }, { namespace: 'other' }),
      login(),
      login(oidc(), { namespace: 'other' }),
      aResource('IdentityProvider', 'second', oidc()),
    )
    expect(world.host.get('IdentityProvider', 'default', 'login')?.metadata.finalizers).toHaveLength(1)
    const [gone, second, foreign] = [
      await exchange(),
      await exchange('second'),
      await exchange('login', elsewhere),
    ]
    const byPassword = await exchange('')
    world.log.length = 0
    await world.delete('IdentityProvider', 'login')
    expect(await Promise.all([gone(), second(), foreign(), byPassword()])).toEqual([false, true, true, true])
    expect(world.host.get('IdentityProvider', 'default', 'login')).toBeUndefined()
    expect(world.log).toEqual([
      { type: 'provider', organization: org, name: 'login' },
      { type: 'barrier', organization: org, name: 'provider:login' },
    ])
  })

  test('but not what is exchanged at one of its name that was made afterwards', async () => {
    await world.apply(login())
    const former = await exchange()
    await world.delete('IdentityProvider', 'login')
    await world.apply(login(oidc(), { uid: 'uid-anew' }))
    world.now += 1
    const fresh = await exchange()
    await world.restart()
    expect([await former(), await fresh()]).toEqual([false, true])
  })

  test('when it was made anew while nobody looked', async () => {
    await world.apply(login())
    const former = await exchange()
    await world.apply(login(oidc(), { uid: 'uid-anew' }))
    expect(await former()).toBe(false)
    expect(world.log.at(-1)?.name).toBe('provider:login')
    expect(told()).toHaveLength(1)
  })

  test('when it was deleted while nobody looked, once the sweep removes its record', async () => {
    await world.apply(login())
    const former = await exchange()
    world.host.resources.delete('IdentityProvider/default/login')
    world.forget()
    expect(await former()).toBe(true)
    expect(await world.restart()).toBe(1)
    expect(await former()).toBe(false)
  })

  test('when it is suspended, once, and not when that is over', async () => {
    await world.apply(login())
    const former = await exchange()
    await world.apply(login(oidc({}, { suspended: true })))
    expect(world.ready('IdentityProvider', 'login')).toBe('False Suspended')
    expect([await former(), await record()]).toMatchObject([false, { closed: 'suspended' }])
    expect(told().map(({ type, message }) => `${type} ${message}`)).toEqual([
      'Normal What was issued here by now has ended: it is suspended.',
    ])
    world.log.length = 0
    await world.restart()
    await world.apply(login(oidc({}, { suspended: true, ttl: '5m' })))
    await world.apply(login())
    expect(world.ready('IdentityProvider', 'login')).toBe('True Synced')
    expect(await record()).not.toHaveProperty('closed')
    expect(world.log.map(({ type }) => type)).toEqual(['provider', 'provider'])
    expect(await former()).toBe(false)
    expect(told()).toHaveLength(1)
  })

  test('when nobody knows what it has accepted', async () => {
    await world.apply(login())
    const former = await exchange()
    const get = world.store.get.bind(world.store)
    world.store.get = () => Promise.reject(new DomainError('record-damaged', 'damaged'))
    await world.apply(login(oidc({}, { ttl: '5m' })))
    world.store.get = get
    expect(await former()).toBe(false)
  })

  test('when the store was away for so long that the object was let go', async () => {
    await world.apply(login())
    const former = await exchange()
    const remove = world.store.remove.bind(world.store)
    world.store.remove = () => Promise.reject(new DomainError('store-unavailable', 'away'))
    world.now = Date.parse('2026-11-24T12:00:01Z')
    await expect(world.delete('IdentityProvider', 'login')).rejects.toThrow('away')
    expect(world.host.get('IdentityProvider', 'default', 'login')).toBeDefined()
    world.now += 300_000
    const of = { kind: 'IdentityProvider', namespace: 'default', name: 'login' } as const
    await world.changed(of)
    expect(world.host.get('IdentityProvider', 'default', 'login')).toBeUndefined()
    expect(await former()).toBe(true)
    world.store.remove = remove
    await world.reconcilers.sweepOrphans()
    expect(await former()).toBe(false)
  })

  const supabase = { url: 'https://abc.supabase.co' }
  const bound = (claim: string, ...values: string[]) => ({ boundClaims: [{ claim, values }] })
  const auth0 = { issuers: ['https://a/', 'https://b/'], audience: ['x', 'y'] }
  const clerk = { issuer: 'https://clerk.example.com' }
  const parties = (...authorizedParties: string[]) => ofType('clerk', { ...clerk, authorizedParties })

  test.each<[string, IdentityProviderSpec, IdentityProviderSpec]>([
    ['another issuer', oidc(), oidc({ issuer: 'https://other.example.com' })],
    ['another type', oidc({ issuer: clerk.issuer }), ofType('clerk', clerk)],
    ['another project', ofType('supabase', supabase), ofType('supabase', { url: 'https://x.supabase.co' })],
    [
      'another project',
      ofType('firebase', { projectId: 'proj-1' }),
      ofType('firebase', { projectId: 'proj-2' }),
    ],
    [
      'another tenant',
      ofType('firebase', { projectId: 'proj-1', tenant: 'a' }),
      ofType('firebase', { projectId: 'proj-1' }),
    ],
    ['one issuer less', ofType('auth0', auth0), ofType('auth0', { ...auth0, issuers: ['https://b/'] })],
    ['one audience less', ofType('auth0', auth0), ofType('auth0', { ...auth0, audience: ['y'] })],
    ['another audience', oidc(), oidc({ audience: ['other'] })],
    ['one party less', parties('a', 'b'), parties('b')],
    ['some parties in place of any', ofType('clerk', clerk), parties('a')],
    ['one algorithm less', oidc(), oidc({ algorithms: ['RS256'] })],
    [
      'no shared secret',
      ofType('supabase', { ...supabase, jwtSecretRef: { name: 'jwt' } }),
      ofType('supabase', supabase),
    ],
    [
      'another key',
      ofType('clerk', { ...clerk, publicKey: aPublicKey() }),
      ofType('clerk', { ...clerk, publicKey: aPublicKey() }),
    ],
    ['keys from elsewhere', oidc(), oidc({ jwksUri: 'https://issuer.example.com/keys' })],
    ['a claim that must be', oidc(), oidc({}, bound('/team', 'a'))],
    ['a claim with fewer values', oidc({}, bound('/team', 'a', 'b')), oidc({}, bound('/team', 'a'))],
    ['another claim', oidc({}, bound('/team', 'a')), oidc({}, bound('/squad', 'a'))],
    ['no anonymous users', oidc({}, { allowAnonymous: true }), oidc()],
    ['nobody who acts as another', oidc(), oidc({}, { allowImpersonation: false })],
    ['no machines', oidc({}, { allowMachine: true }), oidc({}, { allowMachine: false })],
  ])('when it accepts less: %s', async (_what, before, after) => {
    world.host.putSecret('default', 'jwt', { secret: jwtSecret })
    await world.apply(login(before))
    const former = await exchange()
    world.log.length = 0
    await world.apply(login(after))
    expect(await former()).toBe(false)
    expect(told()).toHaveLength(1)
    // Identity tokens from before are judged by what is accepted now.
    expect(world.log.map(({ type, name }) => `${type} ${name}`)).toEqual([
      'provider login',
      'barrier terms:login',
    ])
    const fresh = await exchange()
    await world.restart()
    expect([await fresh(), told().length]).toEqual([true, 1])
  })

  test.each<[string, IdentityProviderSpec, IdentityProviderSpec]>([
    ['nothing', oidc(), oidc()],
    ['one issuer more', ofType('auth0', { ...auth0, issuers: ['https://b/'] }), ofType('auth0', auth0)],
    ['one audience more', oidc(), oidc({ audience: ['app', 'more'] })],
    ['one party more', parties('a'), parties('b', 'a')],
    ['any party', parties('a'), ofType('clerk', clerk)],
    ['one algorithm more', oidc(), oidc({ algorithms: ['ES256', 'RS256', 'EdDSA'] })],
    ['a claim with more values', oidc({}, bound('/team', 'a')), oidc({}, bound('/team', 'b', 'a'))],
    ['a claim less', oidc({}, bound('/team', 'a')), oidc()],
    ['anonymous users and machines', oidc(), oidc({}, { allowAnonymous: true, allowMachine: true })],
    ['a slash after the URL', ofType('supabase', supabase), ofType('supabase', { url: `${supabase.url}/` })],
    [
      'the other list of keys',
      ofType('firebase', { projectId: 'proj-1' }),
      ofType('firebase', { projectId: 'proj-1', keyFormat: 'x509' }),
    ],
    ['a shorter life', oidc(), oidc({}, { ttl: '2m' })],
    ['other lists', oidc(), oidc({}, { accessListRefs: [] })],
    [
      'other attributes',
      oidc({}, { attributes: [{ name: 'a', claim: '/a' }] }),
      oidc({}, { attributes: [{ name: 'a', claim: '/b' }] }),
    ],
    ['a live check', oidc(), oidc({}, { liveCheck: {}, bindToTokenExpiry: true })],
  ])('but not when it accepts as much or more: %s', async (_what, before, after) => {
    await world.apply(login(before))
    const former = await exchange()
    await world.apply(login(after))
    await world.restart()
    expect(await former()).toBe(true)
    expect(told()).toEqual([])
  })
})

describe('what was exchanged at an IdentityProvider with a Secret', () => {
  const legacy = (url = 'https://abc.supabase.co') =>
    ofType('supabase', { url, jwtSecretRef: { name: 'supabase' } })
  const putSecret = async (secret: string): Promise<void> => {
    world.host.putSecret('default', 'supabase', { secret })
    await world.secretChanged('supabase')
  }
  const loseSecret = async (): Promise<void> => {
    world.host.secrets.clear()
    await world.secretChanged('supabase')
  }
  beforeEach(async () => {
    await putSecret(jwtSecret)
    await world.apply(login(legacy()))
  })

  test('lives on while the Secret is missing, is rotated or is no good, while nothing new is exchanged', async () => {
    const former = await exchange()
    await loseSecret()
    expect(world.ready('IdentityProvider', 'login')).toBe('False SecretNotFound')
    expect(await record()).toMatchObject({ closed: 'unusable' })
    expect(await record()).not.toHaveProperty('secrets')
    await putSecret('short')
    expect(world.ready('IdentityProvider', 'login')).toBe('False SecretUnusable')
    await world.restart()
    await putSecret(`${jwtSecret}-2`)
    expect(world.ready('IdentityProvider', 'login')).toBe('True Synced')
    expect(await record()).not.toHaveProperty('closed')
    expect([await former(), told()]).toEqual([true, []])
  })

  test('ends when the project changes while the Secret is missing', async () => {
    const former = await exchange()
    await loseSecret()
    await world.apply(login(legacy('https://other.supabase.co')))
    expect([await former(), world.ready('IdentityProvider', 'login')]).toEqual([
      false,
      'False SecretNotFound',
    ])
  })

  test('ends when the Secret is no longer referred to', async () => {
    const former = await exchange()
    await world.apply(login(ofType('supabase', { url: 'https://abc.supabase.co' })))
    expect(await former()).toBe(false)
  })

  test('ends when it is suspended while the Secret is missing, and when it is deleted then', async () => {
    const former = await exchange()
    await loseSecret()
    expect(await former()).toBe(true)
    await world.apply(login({ ...legacy(), suspended: true }))
    expect(world.ready('IdentityProvider', 'login')).toBe('False Suspended')
    expect(await former()).toBe(false)
    await putSecret(jwtSecret)
    await world.apply(login(legacy()))
    const fresh = await exchange()
    await loseSecret()
    expect(await fresh()).toBe(true)
    await world.delete('IdentityProvider', 'login')
    expect(await fresh()).toBe(false)
  })
})

test('what was exchanged lives on when the kind itself is removed, which nobody may have meant', async () => {
  await world.apply(login())
  const former = await exchange()
  world.host.fates.set('IdentityProvider', 'kind-removed')
  await world.delete('IdentityProvider', 'login')
  expect(world.host.get('IdentityProvider', 'default', 'login')).toBeUndefined()
  expect([await former(), (await record()) !== undefined]).toEqual([true, true])
})
