import { generateKeyPairSync } from 'node:crypto'
import { beforeEach, describe, expect, test } from 'vitest'
import { openProviderSecret } from '#core/sealing/provider-secrets.ts'
import type { ResourceOf } from '#core/resources/index.ts'
import { ReconcileWorld } from '../../fixtures/reconcile-world.ts'
import { acme, aList, anOrganizationResource, aResource } from '../../fixtures/resources.ts'

const org = 'org_k7xm4pqr2n5t'
const lists = { accessListRefs: [{ name: 'devices' }] }

let world: ReconcileWorld
beforeEach(async () => {
  world = new ReconcileWorld()
  await world.apply(anOrganizationResource(), aList('devices'))
})

describe('an IdentityProvider', () => {
  const spec: ResourceOf['IdentityProvider']['spec'] = {
    ...acme,
    ...lists,
    type: 'oidc',
    oidc: { issuer: 'https://issuer.example.com', audience: ['app'] },
  }
  const record = () => world.store.get('provider', org, 'login')
  const closed = { closed: 'unusable' }

  test('becomes a record with the settings of its type', async () => {
    const more = { ttl: '5m', attributes: [{ name: 'room', claim: '/room' }], allowAnonymous: true }
    await world.apply(aResource('IdentityProvider', 'login', { ...spec, ...more }))
    expect(await record()).toEqual({
      uid: 'uid-IdentityProvider-default-login',
      type: 'oidc',
      settings: { issuer: 'https://issuer.example.com', audience: ['app'] },
      boundClaims: [],
      attributes: [{ name: 'room', claim: '/room' }],
      allowAnonymous: true,
      allowMachine: false,
      bindToTokenExpiry: false,
      lists: ['devices'],
      ttl: 300,
    })
    expect(world.ready('IdentityProvider', 'login')).toBe('True Synced')
  })

  test.each([
    ['oidc', { issuer: 'https://i', audience: ['a'] }, 'https://i'],
    ['supabase', { url: 'https://abc.supabase.co/' }, 'https://abc.supabase.co/auth/v1'],
    ['firebase', { projectId: 'my-app' }, 'https://securetoken.google.com/my-app'],
    ['auth0', { issuers: ['https://t.auth0.com/'], audience: ['a'] }, 'https://t.auth0.com/'],
    ['clerk', { issuer: 'https://clerk.example.com' }, 'https://clerk.example.com'],
  ] as const)('of type %s shows its issuer', async (type, settings, issuer) => {
    await world.apply(aResource('IdentityProvider', 'login', { ...acme, ...lists, type, [type]: settings }))
    expect(world.host.get('IdentityProvider', 'default', 'login')?.status?.issuer).toBe(issuer)
    expect((await record())?.settings).toEqual(settings)
  })

  test('says that its public key can not verify tokens, and none is taken then', async () => {
    const clerk = (modulusLength: number) => {
      const { publicKey } = generateKeyPairSync('rsa', { modulusLength })
      const pem = publicKey.export({ format: 'pem', type: 'spki' }) as string
      const settings = { issuer: 'https://clerk.example.com', publicKey: pem }
      return aResource('IdentityProvider', 'login', { ...acme, ...lists, type: 'clerk', clerk: settings })
    }
    await world.apply(clerk(2048))
    expect(world.ready('IdentityProvider', 'login')).toBe('True Synced')
    expect(await record()).not.toHaveProperty('closed')
    await world.apply(clerk(1024))
    expect(world.ready('IdentityProvider', 'login')).toBe('False PublicKeyUnusable')
    expect(await record()).toMatchObject(closed)
  })

  describe('with a secret that its tokens are signed with', () => {
    const jwtSecret = 'super-secret-jwt-token-with-at-least-32-characters'
    const legacy = aResource('IdentityProvider', 'login', {
      ...acme,
      ...lists,
      type: 'supabase',
      supabase: { url: 'https://abc.supabase.co', jwtSecretRef: { name: 'supabase' } },
    })
    const opened = async () => {
      const found = await record()
      return found && openProviderSecret(world.sealing, org, found, 'jwt')
    }
    const putSecret = async (secret: string): Promise<void> => {
      world.host.putSecret('default', 'supabase', { secret })
      await world.secretChanged('supabase')
    }

    test('has it sealed in its record, which stays the same as long as the Secret does', async () => {
      world.host.putSecret('default', 'supabase', { secret: jwtSecret })
      await world.apply(legacy)
      expect(world.ready('IdentityProvider', 'login')).toBe('True Synced')
      expect(await opened()).toBe(jwtSecret)
      expect(JSON.stringify(await record())).not.toContain(jwtSecret)
      const before = await record()
      world.log.length = 0
      await world.restart()
      await world.secretChanged('supabase')
      expect([await record(), world.log]).toEqual([before, []])
      await putSecret(`${jwtSecret}-2`)
      expect(await opened()).toBe(`${jwtSecret}-2`)
      expect(world.log).toEqual([{ type: 'provider', organization: org, name: 'login' }])
    })

    test('takes no tokens while its Secret is missing, and comes back with it', async () => {
      await world.apply(legacy)
      expect(world.ready('IdentityProvider', 'login')).toBe('False SecretNotFound')
      expect(await record()).toMatchObject(closed)
      await putSecret(jwtSecret)
      expect(world.ready('IdentityProvider', 'login')).toBe('True Synced')
      world.host.secrets.clear()
      await world.secretChanged('supabase')
      expect(await record()).toMatchObject(closed)
    })

    test.each([
      ['too short', 'x'.repeat(31), /fewer than 32 bytes/],
      [
        'a public key',
        generateKeyPairSync('ed25519').publicKey.export({ format: 'pem', type: 'spki' }),
        /asymm/,
      ],
      ['a key of a key set', JSON.stringify({ kty: 'EC', x: 'x'.repeat(43) }), /asymmetric/],
      ['the anon key of the project', `eyJ${'h'.repeat(30)}.eyJwYXlsb2Fk.c2ln`, /API key of the project/],
      ['a new API key of the project', `sb_secret_${'x'.repeat(31)}`, /API key of the project/],
    ])('says that it is %s, without a word of it, and takes no tokens', async (_name, secret, message) => {
      world.host.putSecret('default', 'supabase', { secret: String(secret) })
      await world.apply(legacy)
      expect(world.ready('IdentityProvider', 'login')).toBe('False SecretUnusable')
      expect(world.message('IdentityProvider', 'login')).toMatch(message)
      expect(world.message('IdentityProvider', 'login')).not.toContain(String(secret).slice(0, 31))
      expect(await record()).toMatchObject(closed)
    })

    test('takes no tokens where the operator has no key to seal it with', async () => {
      world.sealing = undefined
      await world.restart()
      world.host.putSecret('default', 'supabase', { secret: jwtSecret })
      await world.apply(legacy)
      expect(world.ready('IdentityProvider', 'login')).toBe('False SealingKeyMissing')
      expect(await record()).toMatchObject(closed)
    })
  })

  test('that is to be asked about its users says so in its record, with the sealed key', async () => {
    const checked = (secretRef?: { name: string }) =>
      aResource('IdentityProvider', 'login', {
        ...acme,
        ...lists,
        ...(secretRef === undefined
          ? { type: 'oidc', oidc: { issuer: 'https://issuer.example.com', audience: ['app'] } }
          : { type: 'clerk', clerk: { issuer: 'https://clerk.example.com' } }),
        liveCheck: secretRef === undefined ? {} : { secretRef },
      })
    await world.apply(checked())
    expect(await record()).toMatchObject({ liveCheck: true })
    expect(await record()).not.toHaveProperty('secrets')
    world.host.putSecret('default', 'clerk', { key: 'sk_live_1' })
    await world.apply(checked({ name: 'clerk' }))
    const found = await record()
    expect(found).toMatchObject({ liveCheck: true })
    expect(found && openProviderSecret(world.sealing, org, found, 'live-check')).toBe('sk_live_1')
    for (const [key, message] of [
      ['pk_live_1', /publishable key of Clerk/],
      ['sk live', /no API key/],
      ['sk_live_ä', /no API key/],
    ] as const) {
      world.host.putSecret('default', 'clerk', { key })
      await world.secretChanged('clerk')
      expect(world.ready('IdentityProvider', 'login')).toBe('False SecretUnusable')
      expect(world.message('IdentityProvider', 'login')).toMatch(message)
      expect(await record()).toMatchObject(closed)
    }
  })

  describe('with a secret of webhooks', () => {
    const hooked = aResource('IdentityProvider', 'login', {
      ...spec,
      webhook: { secretRef: { name: 'hooks' } },
    })

    test('has it sealed in its record', async () => {
      world.host.putSecret('default', 'hooks', { secret: `v1,whsec_${'A'.repeat(32)}\n` })
      await world.apply(hooked)
      expect(world.ready('IdentityProvider', 'login')).toBe('True Synced')
      expect((await record())?.secrets).toEqual({ webhook: expect.stringMatching(/^v1\./) })
    })

    test.each(['secret', 'whsec_', 'whsec_c2hvcnQ=', `whsec_${'%'.repeat(32)}`])(
      'takes no tokens where it is none: %s',
      async (secret) => {
        world.host.putSecret('default', 'hooks', { secret })
        await world.apply(hooked)
        expect(world.ready('IdentityProvider', 'login')).toBe('False SecretUnusable')
        expect(await record()).toMatchObject(closed)
      },
    )
  })

  test.each([
    ['no JSON', 'client-secret'],
    ['null', 'null'],
    ['a field short', '{"domain":"acme.eu.auth0.com","client_id":"c"}'],
    ['led astray', '{"domain":"acme.eu.auth0.com/x@y","client_id":"c","client_secret":"s"}'],
  ])('whose client for Auth0 is %s says what it must be', async (_name, key) => {
    const auth0 = { issuers: ['https://acme.eu.auth0.com/'], audience: ['a'] }
    const spec = { ...acme, ...lists, type: 'auth0', auth0, liveCheck: { secretRef: { name: 'm' } } } as const
    world.host.putSecret('default', 'm', { key })
    await world.apply(aResource('IdentityProvider', 'login', spec))
    expect(world.ready('IdentityProvider', 'login')).toBe('False SecretUnusable')
    expect(world.message('IdentityProvider', 'login')).toMatch(
      /JSON there with client_id, client_secret, domain/,
    )
    const client = { domain: 'acme.eu.auth0.com', client_id: 'c', client_secret: 's' }
    world.host.putSecret('default', 'm', { key: JSON.stringify(client) })
    await world.secretChanged('m')
    expect(world.ready('IdentityProvider', 'login')).toBe('True Synced')
  })

  test('says what its users could not do', async () => {
    const { accessListRefs: _, ...bare } = spec
    await world.apply(aResource('IdentityProvider', 'login', bare))
    expect(world.ready('IdentityProvider', 'login')).toBe('False NoAccess')
    await world.apply(aResource('IdentityProvider', 'login', { ...bare, accessListRefs: [{ name: 'none' }] }))
    expect(world.ready('IdentityProvider', 'login')).toBe('False AccessListNotFound')
    const people = aList('people', ['users/{claims.team}/{user_id}'])
    const referring = { ...bare, accessListRefs: [{ name: 'people' }], attributes: [] }
    await world.apply(people, aResource('IdentityProvider', 'login', referring))
    expect(world.message('IdentityProvider', 'login')).toContain('{claims.team} can have no value here')
    const attributes = [{ name: 'team', claim: '/team' }]
    await world.apply(aResource('IdentityProvider', 'login', { ...referring, attributes }))
    expect(world.ready('IdentityProvider', 'login')).toBe('True Synced')
  })

  test('goes with its resource', async () => {
    await world.apply(aResource('IdentityProvider', 'login', spec))
    await world.delete('IdentityProvider', 'login')
    expect(await record()).toBeUndefined()
  })
})
