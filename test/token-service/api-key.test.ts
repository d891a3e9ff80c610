import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { generateSecret } from '#core/credentials/secret.ts'
import { DomainError } from '#core/errors.ts'
import { organizationRecordName } from '#core/stores/identity-records.ts'
import { anApiKey, anotherOrganizationId, anOrganization, anOrganizationId } from '../fixtures/records.ts'
import type { AppDependencies } from '../../token-service/app.ts'
import { addOrganization, type AppUnderTest, send, startApp, withMethods } from './app-under-test.ts'

let service: AppUnderTest
beforeEach(async () => {
  service = await startApp()
})
afterEach(() => service.close())

const origin = 'https://acme.example'
const exchange = async (key: string, headers: Record<string, string> = {}) =>
  service.exchange({ token: await service.token() }, key, headers)
const putKey = (name: string, secret: string, over: Parameters<typeof anApiKey>[2] = {}) =>
  service.identities.put('api-key', anOrganizationId, name, anApiKey(name, secret, over))

describe('one answer for every API key that is not valid:', () => {
  test('malformed, unknown, revoked, of another kind, or not there', async () => {
    const revoked = generateSecret('sk')
    await putKey('revoked', revoked)
    expect((await exchange(revoked)).status).toBe(200)
    await service.identities.remove('api-key', anOrganizationId, 'revoked')
    const copied = generateSecret('sk')
    await putKey('copied', copied, { verifier: anApiKey('other', copied).verifier })
    const mistyped = `${service.secretKey.slice(0, -1)}${service.secretKey.endsWith('0') ? '1' : '0'}`
    const disguised = generateSecret('pk')
    await putKey('disguised', disguised, { type: 'secret' })

    const answers = await Promise.all([
      ...[
        revoked,
        copied,
        mistyped,
        disguised,
        generateSecret('sk'),
        generateSecret('mp'),
        'cs_sk_',
        '',
        '__proto__',
      ].map((key) => exchange(key)),
      service.exchange({}, '', { authorization: `Basic ${btoa(`${service.secretKey}:`)}` }),
      service.exchange({}, '', { authorization: service.secretKey }),
      service.exchange('no JSON at all', 'cs_sk_'),
      service.exchange('x', 'cs_sk_', { 'content-type': 'text/plain' }),
      send(service.app, 'DELETE', '/v1/tokens/tmp_1', undefined, {}),
    ])
    for (const { status, text, headers } of answers) {
      expect(status).toBe(401)
      expect(text).toBe(answers[0]?.text)
      expect(headers['www-authenticate']).toBe('Bearer realm="cloudsignal", error="invalid_token"')
    }
    expect(answers[0]?.body['code']).toBe('invalid_api_key')
  })

  test('a key whose organization is gone is not valid either', async () => {
    await service.identities.remove('organization', anOrganizationId, organizationRecordName)
    expect((await exchange(service.secretKey)).body['code']).toBe('invalid_api_key')
  })

  test('the scheme is told apart without regard to case', async () => {
    const answer = await service.exchange({ token: await service.token() }, '', {
      authorization: `bearer ${service.secretKey}`,
    })
    expect(answer.status).toBe(200)
  })
})

describe('a guess', () => {
  test('with a wrong checksum costs no look at the store', async () => {
    let lookups = 0
    const findApiKey = async (): Promise<undefined> => void (lookups += 1)
    const counting = await startApp({ identities: withMethods(service.identities, { findApiKey }) })
    const mistyped = generateSecret('sk').replace(/.$/, (last) => (last === '0' ? '1' : '0'))
    for (const guess of ['cs_sk_'.padEnd(55, 'x'), mistyped]) await counting.exchange({}, guess)
    expect(lookups).toBe(0)
    await counting.exchange({}, generateSecret('sk'))
    expect(lookups).toBe(1)
    await counting.close()
  })
})

describe('while the records are not there', () => {
  test('an unknown key is no wrong key', async () => {
    const identities = withMethods(service.identities, { isReady: async () => false })
    const starting = await startApp({ identities })
    const answer = await starting.exchange({}, generateSecret('sk'))
    expect(answer).toMatchObject({ status: 503, body: { code: 'service_unavailable' } })
    expect(answer.headers['retry-after']).toBe('2')
    await starting.close()
  })

  test('a store that does not answer is 503 with Retry-After, in every step', async () => {
    const fail = async (): Promise<never> => {
      throw new DomainError('store-unavailable', 'Redis did not answer')
    }
    const { identities, credentials } = service
    const failingGet =
      (type: string): (typeof identities)['get'] =>
      (asked, ...rest) =>
        asked === type ? fail() : identities.get(asked, ...rest)
    const unknownKey = generateSecret('sk')
    const steps: readonly [Partial<AppDependencies>, object, string?][] = [
      [{ identities: withMethods(identities, { findApiKey: fail }) }, {}],
      [{ identities: withMethods(identities, { isReady: fail }) }, {}, unknownKey],
      [{ identities: withMethods(identities, { get: failingGet('organization') }) }, {}],
      [{ identities: withMethods(identities, { get: failingGet('provider') }) }, { provider: 'oidc' }],
      [{ identities: withMethods(identities, { list: fail }) }, {}],
      [{ identities, credentials: withMethods(credentials, { create: fail }) }, {}],
    ]
    for (const [over, body, key = service.secretKey] of steps) {
      const failing = await startApp({ identities, ...over })
      const answer = await failing.exchange({ token: await service.token(), ...body }, key)
      expect(answer).toMatchObject({ status: 503, body: { code: 'service_unavailable' } })
      expect(answer.headers['retry-after']).toBe('2')
      await failing.close()
    }
    const failing = await startApp({ identities, credentials: withMethods(credentials, { revoke: fail }) })
    const revoke = await send(failing.app, 'DELETE', '/v1/tokens/tmp_aaaaaaaaaaaaaaaaaaaa', undefined, {
      authorization: `Bearer ${service.secretKey}`,
    })
    expect(revoke).toMatchObject({ status: 503, body: { code: 'service_unavailable' } })
    await failing.close()
  })
})

describe('a key may do', () => {
  test('what its scopes say', async () => {
    const key = generateSecret('sk')
    await putKey('revoker', key, { scopes: ['revoke', 'tokens:create', 'users:write'] })
    expect(await exchange(key)).toMatchObject({
      status: 403,
      body: { code: 'insufficient_scope', detail: 'the API key lacks the scope exchange' },
    })
  })

  test('nothing in another organization', async () => {
    const foreign = generateSecret('sk')
    await addOrganization(service.identities, anotherOrganizationId)
    await service.identities.put(
      'api-key',
      anotherOrganizationId,
      'backend',
      anApiKey('backend', foreign, { scopes: ['exchange', 'revoke'] }, anotherOrganizationId),
    )
    const token = await service.token()
    const named = await service.exchange({ provider: 'oidc', token }, foreign)
    expect(named).toMatchObject({ status: 404, body: { code: 'provider_not_found' } })
    expect(await service.exchange({ token }, foreign)).toMatchObject({ status: 422 })

    const { body } = await service.exchange({ token })
    const revoked = await send(service.app, 'DELETE', `/v1/tokens/${String(body['id'])}`, undefined, {
      authorization: `Bearer ${foreign}`,
    })
    expect(revoked).toMatchObject({ status: 404, body: { code: 'credential_not_found' } })
    expect(await service.credentials.get(anOrganizationId, String(body['id']))).toBeDefined()
  })

  test('no more than its ceiling, whoever signs in', async () => {
    const key = generateSecret('sk')
    await putKey('bounded', key, { ceiling: ['readers'] })
    const { body } = await exchange(key)
    const stored = await service.credentials.get(anOrganizationId, String(body['id']))
    expect(stored?.access).toEqual({ lists: ['members'], rules: [], ceilings: [['readers']] })
  })

  test('nothing at all while the organization is suspended', async () => {
    await service.identities.put(
      'organization',
      anOrganizationId,
      organizationRecordName,
      anOrganization({ suspended: true }),
    )
    expect(await exchange(service.secretKey)).toMatchObject({
      status: 403,
      body: { code: 'organization_suspended' },
    })
  })
})

describe('a publishable key', () => {
  test('exchanges from its origins, and from nowhere else', async () => {
    expect((await exchange(service.publishableKey, { origin })).status).toBe(200)
    for (const headers of [
      { origin: 'https://evil.example' },
      { origin: `${origin}.evil.example` },
      { origin: 'http://acme.example' },
      { origin: 'null' },
      {},
    ]) {
      expect(await exchange(service.publishableKey, headers)).toMatchObject({
        status: 403,
        body: { code: 'origin_not_allowed' },
      })
    }
  })

  test('revokes nothing, even if its record says so', async () => {
    const key = generateSecret('pk')
    await putKey('wide', key, { type: 'publishable', scopes: ['exchange', 'revoke'], origins: [origin] })
    const answer = await send(service.app, 'DELETE', '/v1/tokens/tmp_1', undefined, {
      authorization: `Bearer ${key}`,
      origin,
    })
    expect(answer).toMatchObject({ status: 403, body: { code: 'insufficient_scope' } })
    expect(answer.body).not.toHaveProperty('detail')
  })

  test('hears one answer, whatever is wrong with a token; a secret key hears what it is', async () => {
    const { issuer } = service
    const seconds = Math.floor(service.now() / 1000)
    const bad: Readonly<Record<string, string>> = {
      unsupported_token_format: 'opaque',
      token_expired: await service.token({ iat: seconds - 600, exp: seconds - 60 }),
      token_not_yet_valid: await service.token({ iat: seconds + 60 }),
      issuer_mismatch: await service.token({ iss: 'https://evil.example' }),
      audience_mismatch: await service.token({ aud: 'other' }),
      claim_mismatch: await service.token({ sub: '' }),
      token_type_not_allowed: await service.token({ gty: 'client-credentials' }),
      unknown_key: await issuer.sign({ iss: issuer.url }, { header: { kid: 'unknown' } }),
      invalid_signature: `${(await service.token()).slice(0, -4)}AAAA`,
      token_header_not_allowed: await issuer.sign({ iss: issuer.url }, { header: { jku: issuer.jwksUri } }),
    }
    const texts = new Set<string>()
    for (const [code, token] of Object.entries(bad)) {
      const secret = await service.exchange({ token })
      expect([code, secret.body['code']]).toEqual([code, code])
      expect(secret.body['detail']).toEqual(expect.any(String))
      const open = await service.exchange({ token }, service.publishableKey, { origin })
      expect(open.status).toBe(401)
      texts.add(open.text)
    }
    expect([...texts]).toEqual([expect.stringContaining('"code":"invalid_token"')])
    expect([...texts][0]).not.toContain('detail')
  })
})
