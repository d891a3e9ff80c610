import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { generateSecret } from '#core/credentials/secret.ts'
import { organizationRecordName } from '#core/stores/identity-records.ts'
import { anOrganization, anOrganizationId } from '../../fixtures/records.ts'
import { type Answer, type AppUnderTest, send, startApp } from '../app-under-test.ts'

let service: AppUnderTest
beforeEach(async () => {
  service = await startApp({ endpoints: { mqtts: 'mqtts://mqtt.example.com:8883' } })
})
afterEach(() => service.close())

const grant = 'urn:ietf:params:oauth:grant-type:token-exchange'
const jwt = 'urn:ietf:params:oauth:token-type:jwt'
const credential = 'urn:cloudsignal:params:oauth:token-type:mqtt-credential'
const basic = (name: string, secret: string): Record<string, string> => ({
  authorization: `Basic ${btoa(`${encodeURIComponent(name)}:${encodeURIComponent(secret)}`)}`,
})
const own = (): Record<string, string> => basic(anOrganizationId, service.secretKey)

const ask = async (
  over: Record<string, string | readonly string[] | undefined> = {},
  headers: Record<string, string> = own(),
): Promise<Answer> => {
  const fields = {
    grant_type: grant,
    subject_token: await service.token(),
    subject_token_type: jwt,
    ...over,
  }
  const form = new URLSearchParams()
  for (const [name, value] of Object.entries(fields)) {
    for (const each of value === undefined ? [] : [value].flat()) form.append(name, each)
  }
  const type = { 'content-type': 'application/x-www-form-urlencoded' }
  return send(service.app, 'POST', '/oauth2/token', form.toString(), { ...type, ...headers })
}

describe('a token exchange of RFC 8693', () => {
  test('answers with what the standard asks for, and the username beside it', async () => {
    for (const type of ['jwt', 'id_token', 'access_token']) {
      const answer = await ask({ subject_token_type: `urn:ietf:params:oauth:token-type:${type}` })
      expect(answer.status).toBe(200)
      expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', pragma: 'no-cache' })
      expect(answer.headers['content-type']).toMatch(/^application\/json/)
      expect(answer.body).toEqual({
        access_token: expect.stringMatching(/^cs_mp_/),
        issued_token_type: credential,
        token_type: 'N_A',
        expires_in: 3600,
        username: `${String(answer.body['id'])}@${anOrganizationId}`,
        id: expect.stringMatching(/^tmp_/),
        expires_at: new Date(service.now() + 3_600_000).toISOString(),
      })
      expect(await service.credentials.get(anOrganizationId, String(answer.body['id']))).toMatchObject({
        kind: 'exchange',
        apiKey: 'backend',
        attributes: { user_id: 'ada' },
      })
    }
  })

  test('takes the parameters of the standard that fit', async () => {
    const answer = await ask({
      requested_token_type: credential,
      audience: anOrganizationId,
      resource: ['mqtts://mqtt.example.com:8883'],
      scope: '',
    })
    expect(answer.status).toBe(200)
  })

  test('authenticates its client in each way that OAuth knows, and in one only', async () => {
    const fields = { client_id: anOrganizationId, client_secret: service.secretKey }
    expect((await ask(fields, {})).status).toBe(200)
    expect((await ask({ client_id: anOrganizationId }, own())).status).toBe(200)
    expect((await ask({}, { authorization: `Bearer ${service.secretKey}` })).status).toBe(200)
    expect((await ask(fields, own())).body).toMatchObject({ error: 'invalid_request' })
  })
})

describe('a client', () => {
  test('that is not known is invalid_client, 401, with the scheme', async () => {
    const answers = await Promise.all([
      ask({}, basic(anOrganizationId, generateSecret('sk'))),
      ask({}, basic('org_aaaabbbbcccc', service.secretKey)),
      ask({}, { authorization: 'Basic %%%' }),
      ask({}, { authorization: `Basic ${btoa('%zz:x')}` }),
      ask({}, { authorization: 'Digest x' }),
      ask({ client_id: 'org_aaaabbbbcccc' }, own()),
      // A public client, where the organization is not open to those.
      ask({ client_id: anOrganizationId }, {}),
      ask({}, {}),
    ])
    for (const { status, headers, body } of answers) {
      expect([status, body['error']]).toEqual([401, 'invalid_client'])
      expect(headers['www-authenticate']).toBe('Basic realm="cloudsignal"')
      expect(headers['cache-control']).toBe('no-store')
    }
  })

  test('that is public may exchange where the organization is open to that, from its origins', async () => {
    const open = { exchange: { anonymous: false, public: { origins: ['https://acme.example'] } } }
    await service.identities.put(
      'organization',
      anOrganizationId,
      organizationRecordName,
      anOrganization(open),
    )
    const fields = { client_id: anOrganizationId }
    expect((await ask(fields, { origin: 'https://acme.example' })).status).toBe(200)
    expect(await ask(fields, { origin: 'https://evil.example' })).toMatchObject({
      status: 400,
      body: { error: 'unauthorized_client', code: 'origin_not_allowed' },
    })
  })

  test('that lacks the scope is unauthorized_client', async () => {
    const key = generateSecret('sk')
    await service.putKey(key, { scopes: ['revoke'] })
    expect(await ask({}, basic(anOrganizationId, key))).toMatchObject({
      status: 400,
      body: { error: 'unauthorized_client', code: 'insufficient_scope' },
    })
  })
})

describe('the error is', () => {
  test.each<[string, Record<string, string | readonly string[] | undefined>, string, string]>([
    [
      'another grant type',
      { grant_type: 'client_credentials' },
      'unsupported_grant_type',
      'unsupported_grant_type',
    ],
    ['no grant type', { grant_type: undefined }, 'invalid_request', 'invalid_request'],
    ['no subject token', { subject_token: undefined }, 'invalid_request', 'invalid_request'],
    ['an empty subject token', { subject_token: '' }, 'invalid_request', 'invalid_request'],
    ['two subject tokens', { subject_token: ['a', 'b'] }, 'invalid_request', 'invalid_request'],
    ['no type of the subject token', { subject_token_type: undefined }, 'invalid_request', 'invalid_request'],
    [
      'a type of subject token that is not taken',
      { subject_token_type: 'urn:ietf:params:oauth:token-type:saml2' },
      'invalid_request',
      'invalid_request',
    ],
    ['another token asked for', { requested_token_type: jwt }, 'invalid_request', 'invalid_request'],
    ['an actor token', { actor_token: 'x', actor_token_type: jwt }, 'invalid_request', 'invalid_request'],
    ['the type of an actor token alone', { actor_token_type: jwt }, 'invalid_request', 'invalid_request'],
    ['another audience', { audience: 'org_aaaabbbbcccc' }, 'invalid_target', 'invalid_target'],
    ['one audience of two', { audience: [anOrganizationId, 'x'] }, 'invalid_target', 'invalid_target'],
    ['another resource', { resource: 'https://api.example.com' }, 'invalid_target', 'invalid_target'],
    ['a scope', { scope: 'admin' }, 'invalid_scope', 'invalid_scope'],
    ['a token that is none', { subject_token: 'opaque' }, 'invalid_request', 'unsupported_token_format'],
    ['too long a token', { subject_token: 'x'.repeat(17_000) }, 'invalid_request', 'token_too_large'],
  ])('for %s', async (_name, over, error, code) => {
    const answer = await ask(over)
    expect(answer.status).toBe(code === 'token_too_large' ? 413 : 400)
    expect(answer.body).toMatchObject({ error, code, error_description: expect.stringMatching(/^[ -~]+$/) })
    expect(answer.headers['cache-control']).toBe('no-store')
  })

  test('invalid_request for a subject token that does not hold, whatever is wrong with it', async () => {
    const seconds = Math.floor(service.now() / 1000)
    const bad: Readonly<Record<string, Record<string, unknown>>> = {
      token_expired: { iat: seconds - 600, exp: seconds - 60 },
      audience_mismatch: { aud: 'other' },
      provider_not_found: { iss: 'https://evil.example' },
      token_type_not_allowed: { gty: 'client-credentials' },
    }
    for (const [code, claims] of Object.entries(bad)) {
      expect(await ask({ subject_token: await service.token(claims) })).toMatchObject({
        status: 400,
        body: { error: 'invalid_request', code },
      })
    }
  })

  test('temporarily_unavailable, 503 with Retry-After, while the issuer is away', async () => {
    service.issuer.switchOff()
    const answer = await ask()
    expect(answer).toMatchObject({ status: 503, body: { error: 'temporarily_unavailable' } })
    expect(answer.headers['retry-after']).toBe('5')
  })

  test('said in OAuth’s words for a body that is no form', async () => {
    const answer = await service.post('/oauth2/token', { grant_type: grant })
    expect(answer).toMatchObject({ status: 415, body: { error: 'invalid_request' } })
  })
})
