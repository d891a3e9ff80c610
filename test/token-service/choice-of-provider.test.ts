import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { guardedFetch } from '../../token-service/verifier/guarded-fetch.ts'
import { startIssuer } from '../fixtures/issuer.ts'
import { anOrganizationId, anotherOrganizationId, anApiKey } from '../fixtures/records.ts'
import { generateSecret } from '#core/credentials/secret.ts'
import { type AppUnderTest, startApp, addOrganization, aProviderOf, claimsOf } from './app-under-test.ts'

let service: AppUnderTest

beforeEach(async () => {
  service = await startApp()
})
afterEach(() => service.close())

describe('the provider is chosen by the caller’s organization:', () => {
  test('by name, or as the only one it has', async () => {
    const token = await service.token()
    expect((await service.exchange({ token, provider: 'oidc' })).status).toBe(200)
    expect((await service.exchange({ token })).status).toBe(200)
    await service.identities.put('provider', anOrganizationId, 'second', aProviderOf(service.issuer))
    expect(await service.exchange({ token })).toMatchObject({
      status: 422,
      body: { code: 'provider_required', errors: [{ field: 'provider' }] },
    })
    expect((await service.exchange({ token, provider: 'second' })).body['provider']).toBe('second')
  })

  test('one that it does not have is not found', async () => {
    const token = await service.token()
    for (const provider of ['other', 'OIDC', '__proto__', 'constructor', 'oidc ']) {
      expect(await service.exchange({ token, provider })).toMatchObject({
        status: 404,
        body: { code: 'provider_not_found', errors: [{ field: 'provider', value: provider }] },
      })
    }
  })

  test('never by what the token says: a token of the second is nothing to the first', async () => {
    const second = await startIssuer()
    await service.identities.put('provider', anOrganizationId, 'second', aProviderOf(second))
    const token = await second.sign(claimsOf(second, service.now()))
    expect((await service.exchange({ token, provider: 'second' })).status).toBe(200)
    expect((await service.exchange({ token, provider: 'oidc' })).body['code']).toBe('issuer_mismatch')
    await second.close()
  })
})

describe('an identity provider that is down', () => {
  test('is 503 with Retry-After, never 401, and others are not affected', async () => {
    const healthy = await startIssuer()
    await service.identities.put('provider', anOrganizationId, 'healthy', aProviderOf(healthy))
    service.issuer.switchOff()
    const answer = await service.exchange({ provider: 'oidc', token: await service.token() })
    expect(answer).toMatchObject({ status: 503, body: { code: 'provider_unavailable' } })
    expect(answer.headers['retry-after']).toBe('5')
    expect(answer.text).not.toContain(service.issuer.url)
    const token = await healthy.sign(claimsOf(healthy, service.now()))
    expect((await service.exchange({ provider: 'healthy', token })).status).toBe(200)

    service.issuer.switchOn()
    service.pass(5_000)
    expect((await service.exchange({ provider: 'oidc', token: await service.token() })).status).toBe(200)
    await healthy.close()
  })

  test('is served by its last keys, and a rotated key is found once it is back', async () => {
    await service.exchange({ token: await service.token() })
    service.issuer.switchOff()
    service.pass(11 * 60_000)
    expect((await service.exchange({ token: await service.token() })).status).toBe(200)
    service.issuer.rotate()
    service.pass(30_000)
    expect((await service.exchange({ token: await service.token() })).status).toBe(503)
    service.issuer.switchOn()
    service.pass(30_000)
    expect((await service.exchange({ token: await service.token() })).status).toBe(200)
  })
})

describe('an identity provider that is closed', () => {
  const close = (closed: 'suspended' | 'unusable', name = 'oidc') =>
    service.identities.put('provider', anOrganizationId, name, { ...aProviderOf(service.issuer), closed })

  test('exchanges nothing: 403 when it is suspended, 503 while a secret of it is missing', async () => {
    const token = await service.token()
    for (const request of [{ token }, { token, provider: 'oidc' }]) {
      await close('suspended')
      const suspended = await service.exchange(request)
      expect(suspended).toMatchObject({ status: 403, body: { code: 'provider_suspended' } })
      await close('unusable')
      const unusable = await service.exchange(request)
      expect(unusable).toMatchObject({ status: 503, body: { code: 'provider_unavailable' } })
      expect(unusable.headers['retry-after']).toBe('30')
    }
    await service.identities.put('provider', anOrganizationId, 'oidc', aProviderOf(service.issuer))
    expect((await service.exchange({ token })).status).toBe(200)
  })

  test('is none of those from which one has to choose, nor of those that are listed', async () => {
    await close('suspended', 'second')
    expect((await service.exchange({ token: await service.token() })).status).toBe(200)
    const { providers } = (await service.get('/v2/providers')).body as { providers: { id: string }[] }
    expect(providers.map(({ id }) => id)).toEqual(['oidc'])
  })

  test('lets nobody be chosen by the issuer of a token', async () => {
    await close('suspended')
    const request = { organization_id: anOrganizationId, token: await service.token() }
    expect(await service.post('/v2/tokens/exchange', request)).toMatchObject({
      status: 403,
      body: { error: 'provider_suspended' },
    })
  })

  test('renews nothing while a secret of it is missing, and revokes by a person’s id all the same', async () => {
    const issued = await service.exchange({ token: await service.token() })
    const { username, password } = issued.body as { username: string; password: string }
    await close('unusable')
    const renewed = await service.post(`/v1/tokens/${username}/refresh`, { password }, '')
    expect(renewed.status).toBe(503)
    expect((await service.post('/v1/revocations', { user_id: 'user-1' })).status).toBe(200)
  })
})

describe('an identity provider that goes while a token is judged by it', () => {
  test.each<[string, () => Promise<unknown>]>([
    ['deleted', () => service.identities.remove('provider', anOrganizationId, 'oidc')],
    [
      'narrowed',
      () => {
        const record = { ...aProviderOf(service.issuer), ttl: 120 }
        return service.identities.put('provider', anOrganizationId, 'oidc', record, 'judged-anew')
      },
    ],
  ])('issues nothing: %s', async (_what, change) => {
    let act: (() => Promise<unknown>) | undefined = change
    const fetchDocument = guardedFetch({ allowPrivateIssuers: true })
    const own = await startApp({
      fetchDocument: async (...request) => {
        await act?.()
        act = undefined
        return fetchDocument(...request)
      },
    })
    await service.close()
    service = own
    // As if the clock of the issuer went ahead: the token is younger than any barrier.
    const iat = Math.floor(own.now() / 1000) + 2
    const request = { token: await own.token({ iat }), provider: 'oidc' }
    expect(await own.exchange(request)).toMatchObject({ status: 503, body: { code: 'service_unavailable' } })
    expect((await own.credentials.list(anOrganizationId, { limit: 10 })).credentials).toEqual([])
  })
})

describe('two organizations with the same issuer', () => {
  test('do not live on each other’s copy of its keys', async () => {
    const foreignKey = generateSecret('sk')
    const { identities, issuer } = service
    await addOrganization(identities, anotherOrganizationId)
    await identities.put('provider', anotherOrganizationId, 'oidc', aProviderOf(issuer))
    const record = anApiKey('backend', foreignKey, {}, anotherOrganizationId)
    await identities.put('api-key', anotherOrganizationId, 'backend', record)
    const token = await service.token()
    expect((await service.exchange({ token })).status).toBe(200)
    issuer.switchOff()
    expect((await service.exchange({ token }, foreignKey)).body['code']).toBe('provider_unavailable')
    expect((await service.exchange({ token })).status).toBe(200)
  })
})
