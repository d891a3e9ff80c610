import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { generateSecret } from '#core/credentials/secret.ts'
import { organizationRecordName } from '#core/stores/identity-records.ts'
import { anOrganization, anOrganizationId, anotherOrganizationId } from '../fixtures/records.ts'
import {
  addOrganization,
  type Answer,
  type AppUnderTest,
  aProviderOf,
  startApp,
  withMethods,
} from './app-under-test.ts'

let service: AppUnderTest
beforeEach(async () => {
  service = await startApp()
  await putOrganization({ credentials: { defaultTtl: 3600, maxTtl: 3600, maxLifetime: 7200 } })
})
afterEach(() => service.close())

const putOrganization = (over: Parameters<typeof anOrganization>[0]): Promise<boolean> =>
  service.identities.put('organization', anOrganizationId, organizationRecordName, anOrganization(over))
const issue = async (over: object = {}): Promise<Record<string, unknown>> =>
  (await service.exchange({ token: await service.token(), ...over })).body
/** Without any API key. */
const refresh = (id: unknown, body: object): Promise<Answer> =>
  service.post(`/v1/tokens/${String(id)}/refresh`, body, '')

describe('a credential is renewed by its own password:', () => {
  test('it lives on under the same name and password, and replicas hear of it', async () => {
    const { id, username, password } = await issue()
    service.pass(3_000_000)
    const answer = await refresh(username, { password })
    expect(answer.status).toBe(200)
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(answer.body).toEqual({
      id,
      username,
      password,
      expires_at: new Date(service.now() + 3_600_000).toISOString(),
      expires_in: 3600,
      refresh_recommended_at: new Date(service.now() + 3_240_000).toISOString(),
      organization: anOrganizationId,
    })
    expect(service.control.at(-1)).toEqual({
      type: 'credential',
      organization: anOrganizationId,
      name: id,
    })
    const stored = await service.credentials.get(anOrganizationId, String(id))
    expect(stored?.expiresAt).toBe(service.now() + 3_600_000)
  })

  test('by its id too, where the organization is named', async () => {
    const { id, password } = await issue()
    expect((await refresh(id, { password, organization: anOrganizationId })).status).toBe(200)
    for (const organization of [undefined, '', anotherOrganizationId, 'acme']) {
      expect(
        await refresh(id, { password, ...(organization === undefined ? {} : { organization }) }),
      ).toMatchObject({
        status: 401,
        body: { code: 'invalid_credential' },
      })
    }
  })

  test('for as long as it asks for, within the bounds', async () => {
    const { username, password } = await issue({ ttl: 60 })
    expect((await refresh(username, { password, ttl: 600 })).body['expires_in']).toBe(600)
    expect(await refresh(username, { password, ttl: 3601 })).toMatchObject({
      status: 400,
      body: { code: 'ttl_out_of_range' },
    })
    // Never shortened.
    expect((await refresh(username, { password, ttl: 60 })).body['expires_in']).toBe(600)
  })

  test('never past the longest life from its first issue', async () => {
    const { username, password } = await issue()
    const first = service.now()
    service.pass(3_000_000)
    await refresh(username, { password })
    service.pass(3_000_000)
    const last = await refresh(username, { password })
    expect(last.body).toMatchObject({
      expires_at: new Date(first + 7_200_000).toISOString(),
      expires_in: 1200,
      refresh_recommended_at: new Date(service.now() + 1_080_000).toISOString(),
    })
    service.pass(1_000_000)
    expect(await refresh(username, { password })).toMatchObject({
      status: 403,
      body: { code: 'renewal_not_possible' },
    })
    service.pass(200_000)
    expect(await refresh(username, { password })).toMatchObject({
      status: 401,
      body: { code: 'invalid_credential' },
    })
  })

  test('not at all where a life can not be longer than the first one, which is so by default', async () => {
    await putOrganization({})
    const { username, password } = await issue()
    service.pass(1_000_000)
    expect((await refresh(username, { password })).body['code']).toBe('renewal_not_possible')
  })

  test('not where the provider binds it to the identity token', async () => {
    const bound = { ...aProviderOf(service.issuer), bindToTokenExpiry: true }
    await service.identities.put('provider', anOrganizationId, 'oidc', bound)
    const { username, password, expires_at } = await issue({ ttl: 600 })
    expect((await refresh(username, { password })).body['code']).toBe('renewal_not_possible')
    const [id = ''] = String(username).split('@')
    const stored = await service.credentials.get(anOrganizationId, id)
    expect(new Date(stored?.expiresAt ?? 0).toISOString()).toBe(expires_at)
  })
})

describe('a credential is renewed by a fresh proof, as long as that is given:', () => {
  const renew = (id: unknown, body: object, key?: string): Promise<Answer> =>
    service.post(`/v1/tokens/${String(id)}/refresh`, body, key)
  const create = async (body: object): Promise<Record<string, unknown>> =>
    (await service.post('/v1/tokens', body)).body

  test('a new identity token of the same person, which also says who they are now', async () => {
    const { id, username } = await issue()
    for (let hour = 0; hour < 3; hour += 1) {
      service.pass(3_000_000)
      const token = await service.token({ email: `ada${hour}@acme.example`, email_verified: true })
      const answer = await renew(username, { token })
      expect(answer).toMatchObject({ status: 200, body: { id, username, expires_in: 3600 } })
      expect(answer.body).not.toHaveProperty('password')
    }
    const stored = await service.credentials.get(anOrganizationId, String(id))
    expect(stored).toMatchObject({
      issuedAt: service.now() - 9_000_000,
      expiresAt: service.now() + 3_600_000,
      attributes: { email: 'ada2@acme.example' },
    })
    expect(service.control.at(-1)).toMatchObject({ type: 'credential', name: id })
  })

  test('the API key that issued it, where nobody signed in for it', async () => {
    const { username } = await create({ kind: 'agent', agent_id: 'planner-1' })
    service.pass(3_000_000)
    expect(await renew(username, {})).toMatchObject({ status: 200, body: { expires_in: 3600 } })
    service.pass(3_000_000)
    expect(await renew(username, { ttl: 600 })).toMatchObject({ status: 200, body: { expires_in: 600 } })
    expect((await renew(username, { ttl: 3601 })).body['code']).toBe('ttl_out_of_range')
  })

  test('not by whoever impersonates that person, nor by that person what was exchanged for who does', async () => {
    const act = { sub: 'user_support' }
    const impersonated = await service.exchange({ token: await service.token({ act }) })
    const { username } = await issue()
    expect((await renew(username, { token: await service.token({ act }) })).body['code']).toBe(
      'renewal_not_possible',
    )
    const renewed = impersonated.body['username']
    expect((await renew(renewed, { token: await service.token() })).body['code']).toBe('renewal_not_possible')
    expect((await renew(renewed, { token: await service.token({ act }) })).status).toBe(200)
  })

  test('not by the token of anybody else, nor by one that is no good', async () => {
    const { username } = await issue()
    const token = await service.token({ sub: 'somebody-else' })
    expect(await renew(username, { token })).toMatchObject({
      status: 401,
      body: { code: 'invalid_credential' },
    })
    expect((await renew(username, { token: 'eyJ.x.y' })).status).toBe(400)
    expect((await renew(username, { token: await service.token(), password: 'x' })).status).toBe(400)
  })

  test('not by a token that is older than a revocation, though the credential is younger', async () => {
    const old = await service.token({ iat: Math.floor(service.now() / 1000) - 100 })
    await service.credentials.raiseBarrier(anOrganizationId, 'organization', service.now() - 50_000)
    const { username } = await issue()
    expect(await renew(username, { token: old })).toMatchObject({
      status: 401,
      body: { code: 'token_revoked' },
    })
    expect((await renew(username, { token: await service.token() })).status).toBe(200)
  })

  test('not by another API key, one without the scope, a publishable one alone, or none', async () => {
    const { username } = await create({ kind: 'agent', agent_id: 'planner-1' })
    const other = generateSecret('sk')
    await service.putKey(other, { uid: 'other', scopes: ['tokens:create', 'exchange'] })
    expect((await renew(username, {}, other)).body['code']).toBe('invalid_credential')
    const weak = generateSecret('sk')
    await service.putKey(weak, { uid: 'weak', scopes: ['exchange'] })
    expect((await renew(username, {}, weak)).body['code']).toBe('insufficient_scope')
    expect((await renew(username, {}, service.publishableKey)).status).toBe(403)
    expect((await renew(username, {}, '')).body['code']).toBe('invalid_api_key')
    const { username: person } = await issue()
    expect((await renew(person, { token: await service.token() }, other)).body['code']).toBe(
      'invalid_credential',
    )
  })

  test('not by the API key alone where somebody signed in, nor for an agent of theirs by their token', async () => {
    const { username } = await issue()
    expect((await renew(username, {})).body['code']).toBe('renewal_not_possible')
    const agent = await create({
      kind: 'agent',
      agent_id: 'planner-1',
      on_behalf_of: { token: await service.token() },
    })
    expect((await renew(agent['username'], {})).body['code']).toBe('renewal_not_possible')
    expect((await renew(agent['username'], { token: await service.token() })).body['code']).toBe(
      'renewal_not_possible',
    )
  })

  test('not beyond the identity token where the provider binds it to that', async () => {
    const bound = { ...aProviderOf(service.issuer), bindToTokenExpiry: true }
    await service.identities.put('provider', anOrganizationId, 'oidc', bound)
    const { username } = await issue()
    const exp = Math.floor(service.now() / 1000) + 5_000
    const answer = await renew(username, { token: await service.token({ exp }) })
    expect(answer.body['expires_in']).toBeLessThanOrEqual(3_600)
    service.pass(1_000_000)
    const last = await renew(username, { token: await service.token({ exp }) })
    expect(new Date(String(last.body['expires_at'])).getTime()).toBeLessThanOrEqual(exp * 1000)
  })
})

describe('one answer for everything that is wrong with the proof:', () => {
  test('another password, another credential, one that is gone, and what is no credential', async () => {
    const { username, password } = await issue()
    const other = await issue()
    const [id = '', organization = ''] = String(username).split('@')
    await addOrganization(service.identities, anotherOrganizationId)
    const answers = await Promise.all([
      refresh(username, { password: generateSecret('mp') }),
      refresh(username, { password: other['password'] }),
      refresh(username, { password: service.secretKey }),
      refresh(username, { password: `${String(password)}x` }),
      refresh(`${id}x@${organization}`, { password }),
      refresh(`${id}@${anotherOrganizationId}`, { password }),
      refresh(`ada@${organization}`, { password }),
      refresh('tmp_', { password }),
      refresh('__proto__', { password }),
      refresh(`${id}@`, { password }),
    ])
    for (const { status, text } of answers) {
      expect(status).toBe(401)
      expect(text).toBe(answers[0]?.text)
    }
    expect(answers[0]?.body).toMatchObject({ code: 'invalid_credential' })
    service.pass(3_600_000)
    expect((await refresh(username, { password })).text).toBe(answers[0]?.text)
  })

  test('a guess with a wrong checksum costs no look at the store', async () => {
    let lookups = 0
    const get = async (): Promise<undefined> => void (lookups += 1)
    const counting = await startApp({ credentials: withMethods(service.credentials, { get }) })
    const url = `/v1/tokens/tmp_aaaaaaaaaaaaaaaaaaaa@${anOrganizationId}/refresh`
    await counting.post(url, { password: `cs_mp_${'x'.repeat(49)}` }, '')
    expect(lookups).toBe(0)
    await counting.post(url, { password: generateSecret('mp') }, '')
    expect(lookups).toBe(1)
    await counting.close()
  })
})

describe('whoever let it be issued must still be there:', () => {
  // Where it was deleted, the credential is gone as well.
  const missing = { keepsIssued: true } as const

  test('the organization, the provider and the API key', async () => {
    const { username, password } = await issue()
    const codeNow = async (): Promise<unknown> => (await refresh(username, { password })).body['code']
    const { identities } = service
    await putOrganization({ suspended: true })
    expect(await codeNow()).toBe('organization_suspended')
    await identities.remove('organization', anOrganizationId, organizationRecordName)
    expect(await codeNow()).toBe('invalid_credential')
    await putOrganization({ credentials: { defaultTtl: 3600, maxTtl: 3600, maxLifetime: 7200 } })
    await identities.remove('provider', anOrganizationId, 'oidc', missing)
    expect(await codeNow()).toBe('invalid_credential')
    await identities.put('provider', anOrganizationId, 'oidc', aProviderOf(service.issuer))
    expect(await codeNow()).toBeUndefined()
    await identities.remove('api-key', anOrganizationId, 'backend', missing)
    expect(await codeNow()).toBe('invalid_credential')
  })

  test('or their records are still on their way, which is no refusal', async () => {
    const { username, password } = await issue()
    const identities = withMethods(service.identities, { isReady: async () => false })
    const starting = await startApp({ identities, credentials: service.credentials })
    await service.identities.remove('api-key', anOrganizationId, 'backend', missing)
    await service.identities.remove('provider', anOrganizationId, 'oidc', missing)
    const answer = await starting.post(`/v1/tokens/${String(username)}/refresh`, { password }, '')
    expect(answer).toMatchObject({ status: 503, body: { code: 'service_unavailable' } })
    await starting.close()
  })
})

test('renewals are counted, and logged without the password', async () => {
  const { username, password } = await issue()
  await refresh(username, { password })
  await refresh(username, { password: generateSecret('mp') })
  const text = await service.registry.metrics()
  expect(text).toContain('renewals_total{outcome="renewed"} 1')
  expect(text).toContain('renewals_total{outcome="invalid_credential"} 1')
  expect(service.logged.join('\n')).toContain('a renewal was refused')
  expect(service.logged.join('\n')).not.toContain(String(password))
})
