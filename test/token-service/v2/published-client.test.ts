import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { generateSecret } from '#core/credentials/secret.ts'
import { organizationRecordName } from '#core/stores/identity-records.ts'
import { anOrganization, anOrganizationId, anotherOrganizationId } from '../../fixtures/records.ts'
import { addOrganization, type AppUnderTest, aProviderOf, startApp } from '../app-under-test.ts'

/**
 * What the hosted product's published client (@cloudsignal/mqtt-client 2.2) sends, byte for byte in its headers and
 * bodies, and what it reads of the answers.
 */
let service: AppUnderTest
let url: string
beforeEach(async () => {
  service = await startApp()
  await putOrganization({
    exchange: { anonymous: false, public: { origins: ['*'] } },
    credentials: { defaultTtl: 3600, maxTtl: 3600, maxLifetime: 7200 },
  })
  await service.app.listen({ port: 0, host: '127.0.0.1' })
  url = `http://127.0.0.1:${(service.app.server.address() as AddressInfo).port}`
})
afterEach(() => service.close())

const putOrganization = (over: Parameters<typeof anOrganization>[0]): Promise<boolean> =>
  service.identities.put('organization', anOrganizationId, organizationRecordName, anOrganization(over))

interface Heard {
  readonly status: number
  readonly headers: Headers
  readonly data: Record<string, unknown>
}

/** It sends Content-Type with a GET too, never Authorization, and drops what is undefined. */
async function request(endpoint: string, method = 'GET', body: object | null = null): Promise<Heard> {
  const response = await fetch(`${url}${endpoint}`, {
    method,
    headers: { 'Content-Type': 'application/json' },
    ...(body === null ? {} : { body: JSON.stringify(body) }),
  })
  const data = (await response.json()) as Record<string, unknown>
  return { status: response.status, headers: response.headers, data }
}
const exchange = async (over: object = {}): Promise<Heard> =>
  request('/v2/tokens/exchange', 'POST', {
    organization_id: anOrganizationId,
    token: await service.token(),
    integration_id: undefined,
    ...over,
  })
const createToken = (over: object = {}): Promise<Heard> =>
  request('/v2/tokens/create', 'POST', {
    organization_id: anOrganizationId,
    user_email: 'ada@example.com',
    integration_id: undefined,
    replace_existing: true,
    ...over,
  })
const refresh = ({ data }: Heard): Promise<Heard> =>
  request('/v2/tokens/refresh', 'POST', {
    token_id: data['token_id'],
    current_token_password: data['access_token'],
  })

/** As it maps errors: by status and `error`, with a text for people. */
function errorOf({ status, data }: Heard): string {
  const text = data['error_description'] ?? data['detail']
  if (typeof text !== 'string' || text === '') return 'without a text'
  if (status === 401) return data['error'] === 'token_expired' ? 'TOKEN_EXPIRED' : 'AUTH_FAILED'
  if (status === 404) return data['error'] === 'provider_not_found' ? 'PROVIDER_NOT_FOUND' : 'ORG_NOT_FOUND'
  return status === 429 ? 'RATE_LIMITED' : 'INVALID_RESPONSE'
}

describe('exchangeToken', () => {
  test('gets every field that the client reads', async () => {
    await service.identities.put('provider', anOrganizationId, 'oidc', {
      ...aProviderOf(service.issuer),
      attributes: [],
    })
    const token = await service.token({ email: 'ada@example.com', email_verified: true })
    const { status, headers, data } = await exchange({ token })
    expect(status).toBe(200)
    expect(headers.get('cache-control')).toBe('no-store')
    const credentials = data['mqtt_credentials'] as Record<string, string>
    expect(data).toEqual({
      token_id: expect.stringMatching(/^tmp_[a-z0-9]{20}@org_k7xm4pqr2n5t$/),
      access_token: credentials['password'],
      token_type: 'Bearer',
      expires_in: 3600,
      mqtt_credentials: { username: data['token_id'], password: expect.stringMatching(/^cs_mp_/) },
      mqtt_username: credentials['username'],
      mqtt_password: credentials['password'],
      user_email: 'ada@example.com',
      user_id: 'ada',
      provider: 'oidc',
      expires_at: new Date(service.now() + 3_600_000).toISOString(),
      refresh_recommended_at: new Date(service.now() + 3_240_000).toISOString(),
    })
    const [id = ''] = String(data['token_id']).split('@')
    const stored = await service.credentials.get(anOrganizationId, id)
    expect(stored).toMatchObject({ kind: 'exchange', provider: 'oidc', access: { ceilings: [] } })
    expect(stored).not.toHaveProperty('apiKey')
  })

  test('finds the provider by the issuer, of those that the organization has', async () => {
    const other = {
      ...aProviderOf(service.issuer),
      settings: { issuer: service.issuer.url, audience: ['b'] },
    }
    await service.identities.put('provider', anOrganizationId, 'a-second', other)
    const [first, second] = [await exchange(), await exchange({ token: await service.token({ aud: 'b' }) })]
    expect([first.status, second.status]).toEqual([200, 200])
    expect((await exchange({ integration_id: 'a-second' })).data['error']).toBe('invalid_token')
    const neither = await exchange({ token: await service.token({ aud: 'c' }) })
    expect(neither).toMatchObject({ status: 401, data: { error: 'invalid_token' } })
    const foreign = await exchange({ token: await service.token({ iss: 'https://other.example' }) })
    expect(errorOf(foreign)).toBe('PROVIDER_NOT_FOUND')
    expect(errorOf(await exchange({ integration_id: 'none' }))).toBe('PROVIDER_NOT_FOUND')
  })

  test('an issuer that only looks like one of the organization’s is none', async () => {
    const requests = service.issuer.requests.size
    for (const iss of [`${service.issuer.url}/`, service.issuer.url.toUpperCase(), '', 7, ['x']]) {
      const { status } = await exchange({ token: await service.token({ iss }) })
      expect([401, 404]).toContain(status)
    }
    expect(service.issuer.requests.size).toBe(requests)
  })

  test('is told what the client tells apart', async () => {
    const seconds = Math.floor(service.now() / 1000)
    const expired = await service.token({ iat: seconds - 600, exp: seconds - 60 })
    expect(errorOf(await exchange({ token: expired }))).toBe('TOKEN_EXPIRED')
    expect(errorOf(await exchange({ token: `${(await service.token()).slice(0, -4)}AAAA` }))).toBe(
      'AUTH_FAILED',
    )
    // An expired token that is forged as well is only forged.
    expect(errorOf(await exchange({ token: `${expired.slice(0, -4)}AAAA` }))).toBe('AUTH_FAILED')
    expect(errorOf(await exchange({ organization_id: anotherOrganizationId }))).toBe('ORG_NOT_FOUND')
    expect(errorOf(await exchange({ organization_id: 'acme' }))).toBe('ORG_NOT_FOUND')
    expect(await exchange({ token: undefined })).toMatchObject({
      status: 400,
      data: { error: 'invalid_request', message: expect.stringContaining('token: must be given') },
    })
    service.issuer.switchOff()
    service.pass(25 * 3_600_000)
    const down = await exchange()
    expect(down).toMatchObject({ status: 503, data: { error: 'provider_unavailable' } })
    expect(down.headers.get('retry-after')).toBe('5')
  })
})

describe('without an API key', () => {
  test('only where the organization opened that: the others are as if they were not there', async () => {
    await putOrganization({})
    const closed = await exchange()
    await addOrganization(service.identities, anotherOrganizationId)
    const other = await exchange({ organization_id: anotherOrganizationId })
    const unknown = await exchange({ organization_id: 'org_zzzzzzzzzzzz' })
    for (const heard of [closed, other, unknown]) {
      expect(errorOf(heard)).toBe('ORG_NOT_FOUND')
      expect(heard.data).toEqual(unknown.data)
    }
    expect((await request(`/v2/providers?organization_id=${anOrganizationId}`)).status).toBe(404)
  })

  test('only from its origins, unless any will do', async () => {
    await putOrganization({ exchange: { anonymous: false, public: { origins: ['https://acme.example'] } } })
    const from = async (origin?: string): Promise<number> => {
      const body = { organization_id: anOrganizationId, token: await service.token() }
      const headers: Record<string, string> = origin === undefined ? {} : { origin }
      return (await service.post('/v2/tokens/exchange', body, '', headers)).status
    }
    expect(await from('https://acme.example')).toBe(200)
    for (const origin of [
      'https://evil.example',
      'https://acme.example.evil.example',
      'null',
      '*',
      undefined,
    ]) {
      expect(await from(origin)).toBe(403)
    }
  })

  test('not while the organization is suspended', async () => {
    await putOrganization({ suspended: true, exchange: { anonymous: false, public: { origins: ['*'] } } })
    expect(await exchange()).toMatchObject({ status: 403, data: { error: 'organization_suspended' } })
  })

  test('with a key it is the key that counts, as the documentation shows it', async () => {
    await putOrganization({})
    const body = { provider: 'oidc', token: await service.token(), ttl: 600 }
    const answer = await service.post('/v2/tokens/exchange', body)
    expect(answer).toMatchObject({ status: 200, body: { expires_in: 600, user_id: 'ada' } })
    const wrong = { ...body, organization_id: anotherOrganizationId }
    expect(await service.post('/v2/tokens/exchange', wrong)).toMatchObject({
      status: 401,
      body: { error: 'unauthorized' },
    })
    expect(await service.post('/v2/tokens/exchange', body, generateSecret('sk'))).toMatchObject({
      status: 401,
      body: { error: 'unauthorized' },
    })
    const detail = await service.post('/v2/tokens/exchange', {
      ...body,
      token: await service.token({ aud: 'x' }),
    })
    expect(detail.body['error']).toBe('audience_mismatch')
  })
})

describe('createToken', () => {
  const putKey = async (over: object = {}): Promise<string> => {
    const key = generateSecret('sk')
    await service.putKey(key, { scopes: ['tokens:create'], attributes: ['email'], ...over })
    return key
  }

  test('gets a token for an address that the key answers for', async () => {
    const heard = await createToken({ secret_key: await putKey() })
    expect(heard.status).toBe(200)
    expect(heard.data).toMatchObject({
      token_type: 'Bearer',
      user_email: 'ada@example.com',
      user_id: null,
      provider: 'cloudsignal',
      expires_in: 3600,
    })
    const [id = ''] = String(heard.data['token_id']).split('@')
    expect(await service.credentials.get(anOrganizationId, id)).toMatchObject({
      kind: 'worker',
      principal: 'worker:ada@example.com',
      attributes: { email: 'ada@example.com' },
    })
  })

  test('replaces the former token of the address, unless told otherwise', async () => {
    const secret_key = await putKey()
    const isLive = async ({ data }: Heard): Promise<boolean> => {
      const [id = ''] = String(data['token_id']).split('@')
      return (await service.credentials.get(anOrganizationId, id)) !== undefined
    }
    const first = await createToken({ secret_key })
    const second = await createToken({ secret_key, replace_existing: undefined })
    const third = await createToken({ secret_key, replace_existing: false })
    const other = await createToken({ secret_key, user_email: 'bob+x@example.com' })
    expect([await isLive(first), await isLive(second), await isLive(third)]).toEqual([false, true, true])
    expect(await isLive(other)).toBe(true)
  })

  test('is refused without a key that may', async () => {
    expect(errorOf(await createToken({ secret_key: generateSecret('sk') }))).toBe('AUTH_FAILED')
    expect(errorOf(await createToken({ secret_key: service.publishableKey }))).toBe('INVALID_RESPONSE')
    expect(await createToken({ secret_key: await putKey({ scopes: ['exchange'] }) })).toMatchObject({
      status: 403,
      data: { error: 'insufficient_scope' },
    })
    expect(await createToken({ secret_key: await putKey({ attributes: [] }) })).toMatchObject({
      status: 403,
      data: { error: 'attribute_not_allowed' },
    })
    const elsewhere = { secret_key: await putKey(), organization_id: anotherOrganizationId }
    expect(errorOf(await createToken(elsewhere))).toBe('AUTH_FAILED')
    expect((await createToken({ secret_key: await putKey(), user_email: 'ada' })).status).toBe(400)
  })
})

describe('refreshToken', () => {
  test('prolongs the token with what the client has of it, again and again, as far as a life may go', async () => {
    const first = await exchange()
    service.pass(3_240_000)
    const second = await refresh(first)
    expect(second.status).toBe(200)
    expect(second.data).toEqual({
      ...first.data,
      expires_at: new Date(service.now() + 3_600_000).toISOString(),
      refresh_recommended_at: new Date(service.now() + 3_240_000).toISOString(),
    })
    service.pass(3_240_000)
    const third = await refresh(second)
    expect(third.data['expires_in']).toBe(720)
    // The client asks again at once where this lies in the past, and would never stop.
    expect(Date.parse(String(third.data['refresh_recommended_at']))).toBeGreaterThan(service.now())
    service.pass(648_000)
    expect(errorOf(await refresh(third))).toBe('TOKEN_EXPIRED')
  })

  test('is refused with a wrong password or an unknown id, in one way', async () => {
    const heard = await exchange()
    const wrong = await refresh({ ...heard, data: { ...heard.data, access_token: generateSecret('mp') } })
    const unknown = await refresh({ ...heard, data: { ...heard.data, token_id: 'tmp_x' } })
    expect(errorOf(wrong)).toBe('AUTH_FAILED')
    expect(unknown.data).toEqual(wrong.data)
  })
})

describe('getProviders', () => {
  test('gets those of the organization, without anything of their settings', async () => {
    await service.identities.put('provider', anOrganizationId, 'a-second', aProviderOf(service.issuer))
    const heard = await request(`/v2/providers?organization_id=${anOrganizationId}`)
    expect(heard).toMatchObject({ status: 200 })
    expect(heard.data).toEqual({
      providers: [
        { id: 'a-second', name: 'a-second', provider: 'oidc', enabled: true },
        { id: 'oidc', name: 'oidc', provider: 'oidc', enabled: true },
      ],
    })
    expect(errorOf(await request('/v2/providers?organization_id=undefined'))).toBe('ORG_NOT_FOUND')
    expect((await service.get('/v2/providers')).status).toBe(200)
  })
})

test('what is wrong with a body is said in the words of this face too', async () => {
  const broken = await service.post('/v2/tokens/exchange', '{"token":')
  expect(broken).toMatchObject({
    status: 400,
    body: { error: 'invalid_request', message: expect.any(String) },
  })
  expect(broken.headers['content-type']).toMatch(/^application\/json/)
  const large = await service.post('/v2/tokens/exchange', { token: 'x'.repeat(33 * 1024) })
  expect(large).toMatchObject({ status: 413, body: { error: 'payload_too_large' } })
})
