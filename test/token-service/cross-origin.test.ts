import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { generateSecret } from '#core/credentials/secret.ts'
import { organizationRecordName } from '#core/stores/identity-records.ts'
import { anOrganization, anOrganizationId } from '../fixtures/records.ts'
import { type Answer, type AppUnderTest, startApp } from './app-under-test.ts'

let service: AppUnderTest
beforeEach(async () => {
  service = await startApp()
})
afterEach(() => service.close())

const origin = 'https://acme.example'
const evil = 'https://evil.example'
const openTo = (...origins: string[]): Promise<boolean> =>
  service.identities.put(
    'organization',
    anOrganizationId,
    organizationRecordName,
    anOrganization({
      exchange: { anonymous: false, public: { origins } },
      credentials: { defaultTtl: 3600, maxTtl: 3600, maxLifetime: 7200 },
    }),
  )
/** Which origin a browser lets read the answer. */
const readableBy = ({ headers }: Answer): unknown => headers['access-control-allow-origin']

describe('a preflight', () => {
  test('is answered alike for every path, to everybody', async () => {
    for (const url of ['/v1/token/exchange', '/v2/tokens/refresh', '/oauth2/token', '/v1/tokens/tmp_1']) {
      const { statusCode, headers, body } = await service.app.inject({
        method: 'OPTIONS',
        url,
        headers: {
          origin: evil,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'authorization,content-type',
        },
      })
      expect([statusCode, body]).toEqual([204, ''])
      expect(headers).toMatchObject({
        'access-control-allow-origin': evil,
        'access-control-allow-methods': 'GET, POST, DELETE',
        'access-control-allow-headers': 'authorization, content-type',
        'access-control-max-age': '600',
        vary: 'Origin',
      })
      expect(headers).not.toHaveProperty('access-control-allow-credentials')
    }
  })

  test('is no OPTIONS of somebody who is no browser', async () => {
    const { statusCode } = await service.app.inject({ method: 'OPTIONS', url: '/v1/token/exchange' })
    expect(statusCode).toBe(405)
  })
})

describe('pages may read the answer', () => {
  test('to a publishable key of theirs, also where it is a problem', async () => {
    const good = await service.exchange({ token: await service.token() }, service.publishableKey, { origin })
    const bad = await service.exchange({ token: 'x' }, service.publishableKey, { origin })
    for (const answer of [good, bad]) {
      expect(readableBy(answer)).toBe(origin)
      expect(answer.headers['access-control-expose-headers']).toBe(
        'ratelimit, ratelimit-policy, request-id, retry-after',
      )
      expect(answer.headers['vary']).toBe('Origin')
    }
    const foreign = await service.exchange({ token: 'x' }, service.publishableKey, { origin: evil })
    expect([foreign.status, readableBy(foreign)]).toEqual([403, undefined])
  })

  test('never to a secret key: it has no place in a browser', async () => {
    const answer = await service.exchange({ token: await service.token() }, service.secretKey, { origin })
    expect([answer.status, readableBy(answer)]).toEqual([200, undefined])
  })

  test('without a key from the origins that the organization opened itself to', async () => {
    await openTo('https://open.example')
    const body = { organization_id: anOrganizationId, token: await service.token() }
    const good = await service.post('/v2/tokens/exchange', body, '', { origin: 'https://open.example' })
    expect([good.status, readableBy(good)]).toEqual([200, 'https://open.example'])
    const other = await service.post('/v2/tokens/exchange', body, '', { origin: evil })
    expect([other.status, readableBy(other)]).toEqual([403, undefined])
  })

  test('of a renewal from any of the organization’s origins', async () => {
    await openTo('https://open.example')
    const { body } = await service.exchange({ token: await service.token() })
    const { username, password } = body
    for (const [from, readable] of [
      ['https://open.example', 'https://open.example'],
      [origin, origin],
      [evil, undefined],
    ] as const) {
      const headers = { origin: from }
      const own = await service.post(`/v1/tokens/${String(username)}/refresh`, { password }, '', headers)
      expect([own.status, readableBy(own)]).toEqual([200, readable])
      const hosted = { token_id: username, current_token_password: password }
      const other = await service.post('/v2/tokens/refresh', hosted, '', headers)
      expect([other.status, readableBy(other)]).toEqual([200, readable])
    }
  })

  test('from anywhere where the organization is open to all', async () => {
    await openTo('*')
    const body = { organization_id: anOrganizationId, token: await service.token() }
    expect(readableBy(await service.post('/v2/tokens/exchange', body, '', { origin: evil }))).toBe(evil)
    const key = generateSecret('sk')
    await service.putKey(key, { scopes: ['tokens:create'], attributes: ['email'] })
    const created = await service.post(
      '/v2/tokens/create',
      { organization_id: anOrganizationId, secret_key: key, user_email: 'ada@example.com' },
      '',
      { origin: evil },
    )
    expect([created.status, readableBy(created)]).toEqual([200, evil])
  })
})
