import { generateKeyPairSync } from 'node:crypto'
import { beforeEach, describe, expect, test } from 'vitest'
import { apiKeyLookup, generateSecret, secretKindOf } from '#core/credentials/secret.ts'
import { verifierOfGenerated } from '#core/credentials/verifier.ts'
import { openProviderSecret } from '#core/sealing/provider-secrets.ts'
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

describe('an AccessList', () => {
  const record = () => world.store.get('access-list', org, 'devices')

  test('becomes a record of its rules, and an edit is one change of one record', async () => {
    expect(await record()).toEqual({
      rules: [{ effect: 'allow', actions: ['publish'], topics: ['devices/{username}/#'] }],
    })
    world.log.length = 0
    await world.apply(aList('devices', ['other/#']))
    expect((await record())?.rules[0]?.topics).toEqual(['other/#'])
    expect(world.log).toEqual([{ type: 'access-list', organization: org, name: 'devices' }])
  })

  test('with a topic that can not be used keeps what was in force, and names rule, topic and remedy', async () => {
    const before = await record()
    await world.apply(aList('devices', ['fine', 'sensor+/x']))
    expect(await record()).toEqual(before)
    expect(world.ready('AccessList', 'devices')).toBe('False InvalidRules')
    expect(world.message('AccessList', 'devices')).toMatch(
      /spec\.rules\[0\]\.topics\[1\]="sensor\+\/x": is not a topic filter; write # only as the last level/,
    )
    await world.apply(aList('devices', ['fine']))
    expect(world.ready('AccessList', 'devices')).toBe('True Synced')
  })

  test('that never could be used has no record, so that it denies', async () => {
    await world.apply(aList('typo', ['{user}']))
    expect(world.ready('AccessList', 'typo')).toBe('False InvalidRules')
    expect(await world.store.get('access-list', org, 'typo')).toBeUndefined()
  })

  test('goes with its resource, although nothing holds that', async () => {
    expect(world.host.get('AccessList', 'default', 'devices')?.metadata.finalizers).toEqual([])
    await world.delete('AccessList', 'devices')
    expect(await record()).toBeUndefined()
  })

  test('of no Organization has no record', async () => {
    await world.apply(aResource('AccessList', 'lost', { organizationRef: { name: 'none' }, rules: [] }))
    expect(world.ready('AccessList', 'lost')).toBe('False OrganizationNotFound')
    expect(await world.store.names('access-list', org)).toEqual(['devices'])
  })
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
