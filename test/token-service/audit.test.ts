import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { AuditEvent } from '#core/audit/audit-event.ts'
import { generateSecret } from '#core/credentials/secret.ts'
import { type CapturingAudit, capturingAudit } from '../fixtures/audit.ts'
import { anOrganizationId as org } from '../fixtures/records.ts'
import { addOrganization, type AppUnderTest, startApp, withMethods } from './app-under-test.ts'

let service: AppUnderTest
let audited: CapturingAudit

beforeEach(async () => {
  audited = capturingAudit()
  service = await startApp({ audit: audited.audit })
})
afterEach(() => service.close())

const address = '127.0.0.1'
const request = expect.stringMatching(/^[0-9a-f]{12}-[0-9a-z]+$/)
const byBackend = { organization: org, apiKey: 'backend', address, request }

/** What was written since the last call; none of it holds what proves anything. */
function written(...secrets: readonly unknown[]): AuditEvent[] {
  const lines = audited.lines.splice(0)
  const text = JSON.stringify(lines)
  expect(text).not.toMatch(/cs_(mp|sk|pk)_|eyJ/)
  for (const secret of secrets) expect(text).not.toContain(String(secret))
  return lines
}

async function issued(): Promise<{ id: string; username: string; password: string }> {
  const answer = await service.exchange({ token: await service.token() })
  audited.lines.splice(0)
  return answer.body as { id: string; username: string; password: string }
}

describe('what is issued is written down:', () => {
  test('an exchange, with the person and the provider', async () => {
    const answer = await service.exchange({ token: await service.token() })
    expect(written(answer.body['password'])).toEqual([
      {
        event: 'credential.issued',
        ...byBackend,
        kind: 'exchange',
        provider: 'oidc',
        principal: expect.stringMatching(/^sub:/),
        subject: 'ada',
        credential: answer.body['id'],
        expiresAt: answer.body['expires_at'],
      },
    ])
  })

  test('an exchange, with the id of the token and of the session', async () => {
    await service.exchange({ token: await service.token({ jti: 'j-1', sid: 's-1' }) })
    await service.exchange({ token: await service.token({ jti: 'j'.repeat(257) }) })
    const [first, second] = written()
    expect(first).toMatchObject({ session: 's-1', tokenId: 'j-1' })
    expect(second).toMatchObject({ subject: 'ada' })
    expect(second).not.toHaveProperty('tokenId')
  })

  test('an exchange by somebody who impersonates the person, with who that is', async () => {
    const { body } = await service.exchange({ token: await service.token({ act: { sub: 'user_support' } }) })
    const [event] = written()
    expect(event).toMatchObject({ subject: 'ada', actors: ['user_support'] })
    const listed = await service.get('/v1/tokens')
    expect(listed.body['tokens']).toEqual([
      expect.objectContaining({ id: body['id'], act: { sub: 'user_support' } }),
    ])
  })

  test('an agent that acts for somebody who is impersonated, with both', async () => {
    const token = await service.token({ act: { sub: 'user_support' } })
    const agent = { kind: 'agent', agent_id: 'planner', act: { sub: 'router' }, on_behalf_of: { token } }
    expect(await service.post('/v1/tokens', agent)).toMatchObject({ status: 201 })
    expect(written()).toMatchObject([{ subject: 'ada', actors: ['planner', 'router', 'user_support'] }])
  })

  test('a token by API key', async () => {
    const answer = await service.post('/v1/tokens', { kind: 'worker', name: 'billing' })
    expect(written()).toEqual([
      {
        event: 'credential.issued',
        ...byBackend,
        kind: 'worker',
        principal: 'worker:billing',
        credential: answer.body['id'],
        expiresAt: answer.body['expires_at'],
      },
    ])
  })

  test('a renewal', async () => {
    const credentials = { defaultTtl: 3_600, maxTtl: 3_600, maxLifetime: 7_200 }
    await addOrganization(service.identities, org, { credentials })
    const { username, id, password } = await issued()
    await service.post(`/v1/tokens/${username}/refresh`, { password }, '')
    expect(written(password)).toMatchObject([
      { event: 'credential.renewed', organization: org, address, credential: id, subject: 'ada' },
    ])
  })

  test('a revocation of one credential, of a person, of all', async () => {
    const [one, other] = [await issued(), await issued()]
    await service.app.inject({
      method: 'DELETE',
      url: `/v1/tokens/${one.id}`,
      headers: { authorization: `Bearer ${service.secretKey}` },
    })
    await service.post('/v1/revocations', { id: other.id })
    await service.post('/v1/revocations', { user_id: 'ada', issued_before: '2026-11-25T08:00:00Z' })
    await service.post('/v1/revocations', { organization: true })
    const event = { event: 'credential.revoked', ...byBackend }
    expect(written()).toEqual([
      { ...event, target: 'credential', credential: one.id },
      { ...event, target: 'credential', credential: other.id },
      { ...event, target: 'subject', subject: 'ada', issuedBefore: '2026-11-25T08:00:00Z' },
      { ...event, target: 'organization' },
    ])
  })
})

describe('the same failure looks the same outside, and its cause is written down:', () => {
  const faces: readonly [string, (token: string) => Promise<{ status: number; body: object }>][] = [
    [
      'v1',
      (token) => service.exchange({ token }, service.publishableKey, { origin: 'https://acme.example' }),
    ],
    [
      'v2',
      (token) =>
        service.post('/v2/tokens/exchange', { organization_id: org, token }, service.publishableKey, {
          origin: 'https://acme.example',
        }),
    ],
  ]
  test.each(faces)('%s', async (_face, exchange) => {
    const wrong = [{ aud: 'another' }, { nbf: Math.floor(service.now() / 1000) + 3_600 }, { sub: '' }]
    const answers = []
    for (const claims of wrong) answers.push(await exchange(await service.token(claims)))
    answers.push(await exchange(`${(await service.token()).slice(0, -20)}${'A'.repeat(20)}`))
    expect(new Set(answers.map(({ status, body }) => JSON.stringify([status, body]))).size).toBe(1)
    expect(written()).toMatchObject(
      ['audience_mismatch', 'token_not_yet_valid', 'claim_mismatch', 'invalid_signature'].map((reason) => ({
        event: 'credential.refused',
        organization: org,
        apiKey: 'browser',
        address,
        kind: 'exchange',
        provider: 'oidc',
        reason,
        detail: expect.any(String),
      })),
    )
  })

  test('a renewal by a guess, by a wrong password, of what is not there', async () => {
    const { username, id, password } = await issued()
    const renew = (name: string, given: string) =>
      service.post(`/v1/tokens/${name}/refresh`, { password: given }, '')
    const guess = `${password.slice(0, -1)}${password.endsWith('a') ? 'b' : 'a'}`
    const answers = [
      await renew(username, guess),
      await renew(username, generateSecret('mp')),
      await renew(`tmp_0@${org}`, generateSecret('mp')),
    ]
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1)
    const event = { event: 'credential.renewal-refused', address, reason: 'invalid_credential' }
    expect(written(password, guess)).toMatchObject([
      { ...event, detail: 'malformed' },
      { ...event, organization: org, credential: id, detail: 'wrong-password' },
      { ...event, detail: 'unknown-credential' },
    ])
  })

  test('an API key that is a guess, that is none, that is missing, that may not', async () => {
    const exchange = (key: string) => service.exchange({ token: 'x' }, key)
    const guess = `${service.secretKey.slice(0, -1)}_`
    const answers = [await exchange(guess), await exchange(generateSecret('sk')), await exchange('')]
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1)
    const narrow = generateSecret('sk')
    await service.putKey(narrow, { uid: 'narrow', scopes: ['explain'] })
    await exchange(narrow)
    await service.exchange({ token: 'x' }, service.publishableKey, { origin: 'https://evil.example' })
    const event = { event: 'api-key.refused', address }
    expect(written(guess)).toMatchObject([
      { ...event, reason: 'malformed' },
      { ...event, reason: 'unknown' },
      { ...event, reason: 'missing' },
      { ...event, organization: org, apiKey: 'narrow', reason: 'insufficient_scope' },
      { ...event, organization: org, apiKey: 'browser', reason: 'origin_not_allowed' },
    ])
  })

  test('a provider that can not be reached, with what it said', async () => {
    await service.issuer.close()
    const answer = await service.exchange({ token: await service.token() })
    expect(answer.status).toBe(503)
    expect(written()).toMatchObject([
      { event: 'credential.refused', reason: 'provider_unavailable', detail: expect.stringMatching(/./) },
    ])
  })
})

test('whoever asks too often is written down with the limit, and a flood of it is a few lines', async () => {
  await service.close()
  service = await startApp({ audit: audited.audit, rates: { perAddress: 5 } })
  for (let time = 0; time < 100; time += 1) await service.exchange({ token: 'x' }, generateSecret('pk'))
  const lines = written()
  expect(lines.filter(({ event }) => event === 'api-key.refused')).toHaveLength(5)
  expect(lines.filter(({ event }) => event === 'request.limited')).toHaveLength(10)
  expect(lines.at(-1)).toEqual({ event: 'request.limited', address, request, reason: 'address' })
  audited.audit.flush()
  expect(written()).toEqual([{ event: 'request.limited', address, reason: 'address', omitted: 85 }])
  expect((await audited.counted())['request.limited address none']).toBe(95)
})

test('whoever asks why can say which request it was', async () => {
  const answers = [await service.exchange({ token: 'x' }), await service.exchange({ token: 'y' })]
  const ids = answers.map(({ headers }) => headers['request-id'])
  expect(written().map((line) => 'request' in line && line.request)).toEqual(ids)
  expect(new Set(ids).size).toBe(2)
})

test('an organization that does not exist has no line and no label', async () => {
  await service.post('/v2/tokens/exchange', { organization_id: 'org_aaaaaaaaaaaa', token: 'x' }, '')
  expect(written()).toEqual([
    { event: 'credential.refused', address, request, reason: 'organization_not_found' },
  ])
  expect(await audited.counted()).toEqual({ 'credential.refused organization_not_found none': 1 })
})

test('an organization that is open to everybody is told of those without a key', async () => {
  await addOrganization(service.identities, org, {
    exchange: { anonymous: false, public: { origins: ['*'] } },
  })
  await service.post('/v2/tokens/exchange', { organization_id: org, token: 'no token' }, '')
  expect(written()).toMatchObject([{ event: 'credential.refused', organization: org, kind: 'exchange' }])
})

test('a store that does not answer is a refusal, and no answer says what it said', async () => {
  await service.close()
  const healthy = await startApp({ audit: audited.audit })
  const credentials = withMethods(healthy.credentials, { create: () => Promise.reject(new Error('away')) })
  service = await startApp({ audit: audited.audit, credentials })
  const answer = await service.exchange({ token: await service.token() })
  expect(answer.text).not.toContain('away')
  expect(written()).toMatchObject([{ event: 'credential.refused', reason: 'internal_error', detail: 'away' }])
  await healthy.close()
})
