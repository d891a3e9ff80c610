import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { providerTypes, type ProviderType } from '#core/resources/identity-provider.ts'
import type { DocumentFetcher } from '../../../token-service/verifier/document-fetcher.ts'
import { jwksOf, signWith } from '../../fixtures/issuer.ts'
import { apiKeys, managementClient, type ProviderApi, startProviderApi } from '../../fixtures/provider-api.ts'
import { providerSamples } from '../../fixtures/provider-samples.ts'
import { anOrganizationId, aProvider } from '../../fixtures/records.ts'
import { aSealingKey, sealedFor, testSealing } from '../../fixtures/sealing.ts'
import { genuineKeys } from '../../fixtures/token-forgeries.ts'
import { type Answer, type AppUnderTest, startApp } from '../app-under-test.ts'

let api: ProviderApi
let service: AppUnderTest

const fetchDocument: DocumentFetcher = async (url) => {
  const issuer = url.replace('/.well-known/openid-configuration', '')
  const document =
    issuer === url
      ? jwksOf(genuineKeys)
      : { issuer, jwks_uri: `${issuer}/jwks`, userinfo_endpoint: `${issuer}/userinfo` }
  return { text: JSON.stringify(document) }
}

beforeAll(async () => {
  api = await startProviderApi()
  service = await startApp({ fetchDocument, askProvider: api.ask })
})
afterAll(() => Promise.all([api.close(), service.close()]))
beforeEach(() => {
  // Answers are not believed any more, and limits are full again.
  service.pass(60_000)
  service.logged.length = 0
  api.requests.length = 0
  api.ended.clear()
  api.answerWith(undefined)
})

async function putProvider(
  type: ProviderType,
  { name = type as string, liveCheck = true, key = apiKeys[type], sealing = testSealing } = {},
): Promise<void> {
  const { settings } = providerSamples[type]
  const bare = aProvider({ uid: `uid-${name}`, type, settings: { ...settings }, liveCheck })
  const secrets = key === undefined ? {} : { secrets: sealedFor(bare, { 'live-check': key }, sealing) }
  await service.identities.put('provider', anOrganizationId, name, { ...bare, ...secrets })
}

const claimsOf = (type: ProviderType) => providerSamples[type].claims(Math.floor(service.now() / 1000))
const subjectOf = (type: ProviderType): string => String(claimsOf(type)['sub'])
const tokenOf = (type: ProviderType, over: object = {}): Promise<string> =>
  signWith(genuineKeys, { ...claimsOf(type), ...over }, { header: providerSamples[type].header ?? {} })
const exchange = (type: ProviderType, token: string, key?: string): Promise<Answer> =>
  service.exchange(
    { provider: type, token },
    key,
    key === undefined ? {} : { origin: 'https://acme.example' },
  )
const outcome = async (type: ProviderType, token: string): Promise<string> => {
  const { status, body, headers } = await exchange(type, token)
  return status === 503 ? `503 ${body['code']} ${headers['retry-after']}` : `${status} ${body['code'] ?? ''}`
}
const unavailable = '503 provider_unavailable 5'

describe.each(providerTypes)('with a live check, %s', (type) => {
  test('is asked once at an exchange, and whoever may still sign in is let in', async () => {
    await putProvider(type)
    expect(await outcome(type, await tokenOf(type))).toBe('200 ')
    expect(api.requests).toHaveLength(1)
  })

  test('is not asked without one', async () => {
    await putProvider(type, { liveCheck: false })
    api.ended.add(subjectOf(type))
    expect(await outcome(type, await tokenOf(type))).toBe('200 ')
    expect(api.requests).toEqual([])
  })

  test('refuses whoever is gone, although the token is good', async () => {
    await putProvider(type)
    api.ended.add(subjectOf(type))
    const token = await tokenOf(type)
    expect(await outcome(type, token)).toBe('401 session_ended')
    expect((await exchange(type, token, service.publishableKey)).body['code']).toBe('invalid_token')
    expect(api.requests).toHaveLength(1)
  })

  test('is believed for five seconds, either way, and then asked again', async () => {
    await putProvider(type)
    const token = await tokenOf(type)
    expect(await outcome(type, token)).toBe('200 ')
    api.ended.add(subjectOf(type))
    service.pass(4_900)
    expect(await outcome(type, token)).toBe('200 ')
    service.pass(200)
    expect(await outcome(type, token)).toBe('401 session_ended')
    api.ended.clear()
    service.pass(5_100)
    expect(await outcome(type, token)).toBe('200 ')
    expect(api.requests).toHaveLength(3)
  })

  test('is not asked about a token that is not good', async () => {
    await putProvider(type)
    const [head, claims] = (await tokenOf(type)).split('.')
    expect(await outcome(type, `${head}.${claims}.${'A'.repeat(342)}`)).toBe('401 invalid_signature')
    expect(await outcome(type, await tokenOf(type, { exp: 1_000 }))).toMatch(/^401 /)
    expect(api.requests).toEqual([])
  })

  test.each([
    ['an error of its own', 500, '{}'],
    ['a rate limit', 429, '{"code":"over_request_rate_limit"}'],
    ['a redirect', 302, '{}'],
    ['a gateway', 502, '<html>'],
  ])('that answers with %s is no reason to refuse anybody', async (_name, status, text) => {
    await putProvider(type)
    const token = await tokenOf(type)
    const location = `${api.url}/elsewhere`
    api.answerWith((_request, response) => void response.writeHead(status, { location }).end(text))
    expect(await outcome(type, token)).toBe(unavailable)
    api.answerWith(undefined)
    expect(await outcome(type, token)).toBe('200 ')
    expect(api.requests.filter((request) => request.includes('elsewhere'))).toEqual([])
  })

  test('that answers of somebody else lets nobody in', async () => {
    await putProvider(type)
    const other = {
      id: 'other',
      sub: 'other',
      user_id: 'other',
      status: 'active',
      users: [{ localId: 'other' }],
    }
    api.answerWith((_request, response) => void response.writeHead(200).end(JSON.stringify(other)))
    expect(await outcome(type, await tokenOf(type))).toMatch(/^(503 provider_unavailable|403 token_type_not)/)
    api.answerWith((_request, response) => void response.writeHead(200).end('no JSON'))
    expect(await outcome(type, await tokenOf(type))).toMatch(/^(503 provider_unavailable|403 token_type_not)/)
  })

  test('is asked once however many bring the same token at a time', async () => {
    await putProvider(type)
    const token = await tokenOf(type)
    const answers = await Promise.all(Array.from({ length: 20 }, () => outcome(type, token)))
    expect(new Set(answers)).toEqual(new Set(['200 ']))
    expect(api.requests).toHaveLength(1)
  })

  test('that fails again and again is left alone for five seconds, and holds up nobody else', async () => {
    await putProvider(type)
    const tokens = await Promise.all([1, 2, 3, 4, 5].map((jti) => tokenOf(type, { jti: `t${jti}` })))
    api.answerWith((_request, response) => void response.destroy())
    for (const token of tokens) expect(await outcome(type, token)).toBe(unavailable)
    expect(api.requests).toHaveLength(3)
    api.answerWith(undefined)
    await putProvider(type, { name: 'other' })
    expect((await service.exchange({ provider: 'other', token: tokens[0] })).status).toBe(200)
    expect(await outcome(type, tokens[0] ?? '')).toBe(unavailable)
    service.pass(5_001)
    expect(await outcome(type, tokens[0] ?? '')).toBe('200 ')
  })

  test('tells nobody our secrets, and the operator what is wrong', async () => {
    await putProvider(type)
    api.answerWith((_request, response) => void response.writeHead(500).end('{}'))
    const token = await tokenOf(type)
    const { text } = await exchange(type, token)
    const seen = `${text}${service.logged.join('\n')}`
    expect(seen).not.toContain(token)
    if (apiKeys[type] !== undefined) expect(seen).not.toContain(apiKeys[type])
    expect(service.logged.join('\n')).toContain('the provider answered with status 500')
  })
})

describe.each(['supabase', 'firebase', 'clerk'] as const)('the API key for the live check of %s', (type) => {
  test('that is not right is our mistake: nobody is refused for it', async () => {
    await putProvider(type, { key: 'another' })
    expect(await outcome(type, await tokenOf(type))).toBe(unavailable)
  })

  test('that can not be opened here lets nobody in', async () => {
    await putProvider(type, { sealing: aSealingKey() })
    expect(await outcome(type, await tokenOf(type))).toMatch(/^503 service_unavailable/)
    expect(api.requests).toEqual([])
  })
})

describe('the live check', () => {
  const answerWith = (status: number, body: object): void =>
    api.answerWith((_request, response) => void response.writeHead(status).end(JSON.stringify(body)))

  test.each([
    ['is banned', 403, { error_code: 'user_banned', msg: 'User is banned' }],
    ['is gone, as older versions say it', 404, { code: 404, msg: 'User not found' }],
    ['is signed out, as newer versions say it', 403, { code: 'session_not_found', message: '' }],
  ])('of supabase refuses a user who %s', async (_name, status, body) => {
    await putProvider('supabase')
    answerWith(status, body)
    expect(await outcome('supabase', await tokenOf('supabase'))).toBe('401 session_ended')
  })

  test('of supabase refuses a user who is banned for a while', async () => {
    await putProvider('supabase')
    const bannedUntil = (ms: number) => new Date(service.now() + ms).toISOString()
    answerWith(200, { id: subjectOf('supabase'), banned_until: bannedUntil(60_000) })
    expect(await outcome('supabase', await tokenOf('supabase'))).toBe('401 session_ended')
    answerWith(200, { id: subjectOf('supabase'), banned_until: bannedUntil(-60_000) })
    expect(await outcome('supabase', await tokenOf('supabase', { jti: '2' }))).toBe('200 ')
  })

  test.each(['ended', 'expired', 'removed', 'replaced', 'abandoned', 'pending', 'whatever'])(
    'of clerk refuses a session that is %s',
    async (status) => {
      await putProvider('clerk')
      answerWith(200, { id: 'sess_2abcDEF', user_id: 'user_2abcDEF', status })
      expect(await outcome('clerk', await tokenOf('clerk'))).toBe('401 session_ended')
    },
  )

  test('of clerk refuses a session that is not there, and one of somebody else', async () => {
    await putProvider('clerk')
    answerWith(404, { errors: [{ code: 'resource_not_found' }] })
    expect(await outcome('clerk', await tokenOf('clerk'))).toBe('401 session_ended')
    answerWith(200, { id: 'sess_2abcDEF', user_id: 'user_other', status: 'active' })
    expect(await outcome('clerk', await tokenOf('clerk', { jti: '2' }))).toBe('401 session_ended')
  })

  test('of clerk asks for the session by its name alone, whatever that holds', async () => {
    await putProvider('clerk')
    await outcome('clerk', await tokenOf('clerk', { sid: 'sess_../../users?x#y' }))
    expect(api.requests).toEqual(['GET /v1/sessions/sess_..%2F..%2Fusers%3Fx%23y'])
  })

  test.each([
    ['is disabled', 200, (sub: string) => ({ users: [{ localId: sub, disabled: true }] })],
    ['is disabled, as an error', 400, () => ({ error: { message: 'USER_DISABLED' } })],
    [
      'had their sessions revoked',
      200,
      (sub: string, at: number) => ({ users: [{ localId: sub, validSince: `${at}` }] }),
    ],
    ['had their sessions revoked, as an error', 400, () => ({ error: { message: 'TOKEN_EXPIRED' } })],
  ])('of firebase refuses a user who %s', async (_name, status, body) => {
    await putProvider('firebase')
    const signedInAt = Number(claimsOf('firebase')['auth_time'])
    answerWith(status, body(subjectOf('firebase'), signedInAt + 1))
    expect(await outcome('firebase', await tokenOf('firebase'))).toBe('401 session_ended')
  })

  test('of firebase lets in who signed in when the revocation was over', async () => {
    await putProvider('firebase')
    const signedInAt = Number(claimsOf('firebase')['auth_time'])
    answerWith(200, { users: [{ localId: subjectOf('firebase'), validSince: String(signedInAt) }] })
    expect(await outcome('firebase', await tokenOf('firebase'))).toBe('200 ')
  })

  test.each(['auth0', 'oidc'] as const)('of %s says where the token can not be used for it', async (type) => {
    await putProvider(type)
    answerWith(403, { error: 'insufficient_scope' })
    const { status, body } = await exchange(type, await tokenOf(type))
    expect([status, body['code'], body['detail']]).toEqual([
      403,
      'token_type_not_allowed',
      expect.stringContaining('scope openid'),
    ])
  })

  describe('of auth0 by its Management API', () => {
    const key = JSON.stringify(managementClient)

    test('refuses who is blocked, and fetches its own token once', async () => {
      await putProvider('auth0', { key })
      expect(await outcome('auth0', await tokenOf('auth0', { jti: '1' }))).toBe('200 ')
      api.ended.add(subjectOf('auth0'))
      expect(await outcome('auth0', await tokenOf('auth0', { jti: '2' }))).toBe('401 session_ended')
      const user = `GET /api/v2/users/${encodeURIComponent(subjectOf('auth0'))}?fields=user_id,blocked&include_fields=true`
      expect(api.requests).toEqual(['POST /oauth/token', user, user])
      service.pass(3_600_001)
      expect(await outcome('auth0', await tokenOf('auth0', { jti: '3' }))).toBe('401 session_ended')
      expect(api.requests.slice(3)).toEqual(['POST /oauth/token', user])
    })

    test('refuses who is gone', async () => {
      await putProvider('auth0', { key })
      expect(await outcome('auth0', await tokenOf('auth0', { jti: '1' }))).toBe('200 ')
      answerWith(404, { error: 'Not Found' })
      expect(await outcome('auth0', await tokenOf('auth0', { jti: '2' }))).toBe('401 session_ended')
    })

    test('fetches another token where its own is not taken any more, and for another client', async () => {
      await putProvider('auth0', { key })
      expect(await outcome('auth0', await tokenOf('auth0', { jti: '1' }))).toBe('200 ')
      answerWith(401, {})
      expect(await outcome('auth0', await tokenOf('auth0', { jti: '2' }))).toBe(unavailable)
      api.answerWith(undefined)
      expect(await outcome('auth0', await tokenOf('auth0', { jti: '3' }))).toBe('200 ')
      const other = JSON.stringify({ ...managementClient, client_secret: 'another' })
      await putProvider('auth0', { key: other })
      expect(await outcome('auth0', await tokenOf('auth0', { jti: '4' }))).toBe(unavailable)
      expect(service.logged.join('\n')).not.toMatch(/management-(secret|token)/)
    })
  })

  test('is made for a renewal by a new identity token too', async () => {
    await putProvider('supabase')
    const { body } = await exchange('supabase', await tokenOf('supabase'))
    const renew = async (token: string) =>
      (await service.post(`/v1/tokens/${String(body['username'])}/refresh`, { token })).body['code'] ??
      'renewed'
    expect(await renew(await tokenOf('supabase', { jti: '2' }))).toBe('renewed')
    api.ended.add(subjectOf('supabase'))
    expect(await renew(await tokenOf('supabase', { jti: '3' }))).toBe('session_ended')
  })

  test('is counted by what the provider said', async () => {
    const counts = async () =>
      new Map(
        (await service.registry.metrics())
          .split('\n')
          .map((line) => line.replace('cloudsignal_token_service_', '').split(' ') as [string, string]),
      )
    const before = await counts()
    await putProvider('supabase')
    await exchange('supabase', await tokenOf('supabase', { jti: '1' }))
    api.ended.add(subjectOf('supabase'))
    await exchange('supabase', await tokenOf('supabase', { jti: '2' }))
    const after = await counts()
    for (const outcome of ['live', 'ended']) {
      const line = `live_checks_total{provider_type="supabase",outcome="${outcome}"}`
      expect(Number(after.get(line)) - Number(before.get(line) ?? 0)).toBe(1)
    }
  })
})
