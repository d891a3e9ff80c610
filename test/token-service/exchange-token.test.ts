import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { IssuedCredential } from '#core/credentials/credential-record.ts'
import { generateSecret } from '#core/credentials/secret.ts'
import { verifySecret } from '#core/credentials/verifier.ts'
import { DomainError } from '#core/errors.ts'
import { subjectPrincipal } from '#core/identity/principal.ts'
import type { ProviderRecord } from '#core/identity/provider-record.ts'
import { anOrganizationId } from '../fixtures/records.ts'
import { type Answer, type AppUnderTest, aProviderOf, startApp, withMethods } from './app-under-test.ts'

let service: AppUnderTest

beforeEach(async () => {
  service = await startApp()
})
afterEach(() => service.close())

describe('an identity token is exchanged for a credential:', () => {
  test('RS256 and ES256, through the discovery and the key set of a real issuer', async () => {
    for (const alg of ['RS256', 'ES256'] as const) {
      const claims = { ...(await decoded(service.token())), sub: `ada-${alg}` }
      const { status, body, headers } = await service.exchange({
        provider: 'oidc',
        token: await service.issuer.sign(claims, { alg }),
      })
      expect(status).toBe(200)
      expect(headers['cache-control']).toBe('no-store')
      expect(body).toEqual({
        id: expect.stringMatching(/^tmp_[a-z0-9]{20}$/),
        username: `${String(body['id'])}@${anOrganizationId}`,
        password: expect.stringMatching(/^cs_mp_/),
        expires_at: new Date(service.now() + 3_600_000).toISOString(),
        expires_in: 3600,
        refresh_recommended_at: new Date(service.now() + 3_240_000).toISOString(),
        organization: anOrganizationId,
        provider: 'oidc',
        user_id: `ada-${alg}`,
      })
      const stored = await service.credentials.get(anOrganizationId, String(body['id']))
      expect(stored).toMatchObject({
        kind: 'exchange',
        principal: subjectPrincipal(service.issuer.url, undefined, `ada-${alg}`),
        attributes: { user_id: `ada-${alg}`, provider: 'oidc' },
        access: { lists: ['members'], rules: [], ceilings: [] },
        provider: 'oidc',
        apiKey: 'backend',
      })
      const binding = { kind: 'temporary', name: String(body['username']) } as const
      expect(stored && (await verifySecret(String(body['password']), stored.verifier, binding))).toBe(true)
    }
  })

  test('each time a fresh one, of the same principal', async () => {
    const token = await service.token()
    const [first, second] = [await service.exchange({ token }), await service.exchange({ token })]
    expect(first.body['username']).not.toBe(second.body['username'])
    expect(first.body['password']).not.toBe(second.body['password'])
    const [one, other] = await Promise.all([storedOf(first), storedOf(second)])
    expect(one?.principal).toBe(other?.principal)
  })

  test('the number of connections that was asked for, and otherwise none of its own', async () => {
    const token = await service.token()
    expect((await storedOf(await service.exchange({ token, connections: 2 })))?.connections).toBe(2)
    expect(await storedOf(await service.exchange({ token }))).not.toHaveProperty('connections')
    for (const connections of [0, -1, 1.5, '2', 10_001, null]) {
      const answer = await service.exchange({ token, connections })
      expect(answer).toMatchObject({ status: 400, body: { errors: [{ field: 'connections' }] } })
    }
  })

  test('the ttl that was asked for, and bound to the client id that was named', async () => {
    const { body } = await service.exchange({ token: await service.token(), ttl: 600, client_id: 'web-1' })
    expect(body['expires_in']).toBe(600)
    const stored = await service.credentials.get(anOrganizationId, String(body['id']))
    expect(stored?.clientId).toBe('web-1')
    expect(stored?.expiresAt).toBe(service.now() + 600_000)
    const tooLong = await service.exchange({ token: await service.token(), ttl: 3601 })
    expect(tooLong).toMatchObject({
      status: 400,
      body: {
        code: 'ttl_out_of_range',
        errors: [{ field: 'ttl', value: 3601, remedy: 'give 60 to 3600 seconds' }],
      },
    })
  })

  test('with the token where the provider binds it', async () => {
    await putProvider({ bindToTokenExpiry: true })
    const exp = Math.floor(service.now() / 1000) + 90
    const { body } = await service.exchange({ token: await service.token({ exp }) })
    expect(body['expires_in']).toBeLessThanOrEqual(90)
    expect(Date.parse(String(body['expires_at']))).toBeLessThanOrEqual(exp * 1000)
  })

  test('says where to connect, where that is configured', async () => {
    const endpoints = { mqtts: 'mqtts://mqtt.example.com:8883', wss: 'wss://mqtt.example.com:18885/' }
    const other = await startApp({ endpoints })
    const { body } = await other.exchange({ token: await other.token() })
    expect(body['endpoints']).toEqual(endpoints)
    await other.close()
  })

  test('a name that is taken is not overwritten: another one is drawn', async () => {
    const taken: string[] = []
    const create: typeof service.credentials.create = async (organization, local, ...rest) => {
      taken.push(local)
      if (taken.length < 3) throw new DomainError('credential-exists', 'taken')
      return service.credentials.create(organization, local, ...rest)
    }
    const other = await startApp({ credentials: withMethods(service.credentials, { create }) })
    expect((await other.exchange({ token: await other.token() })).status).toBe(200)
    expect(new Set(taken).size).toBe(3)
    await other.close()
  })
})

describe('what is kept of exchanges', () => {
  test('are counts by type and outcome, without provider or user', async () => {
    await service.exchange({ token: await service.token() })
    await service.exchange({ token: await service.token({ aud: 'other' }) })
    await service.exchange({ token: await service.token(), provider: 'none-such' })
    const text = await service.registry.metrics()
    for (const labels of [
      'provider_type="oidc",outcome="issued"',
      'provider_type="oidc",outcome="audience_mismatch"',
      'provider_type="none",outcome="provider_not_found"',
    ]) {
      expect(text).toContain(`cloudsignal_token_service_exchanges_total{${labels}} 1`)
    }
    expect(text).toContain('issuer_fetches_total{document="jwks",outcome="success"} 1')
    for (const name of ['ada', 'none-such']) expect(text).not.toContain(name)
  })

  test('are log lines without any secret', async () => {
    const token = await service.token()
    const { body } = await service.exchange({ token })
    const bad = await service.token({ aud: 'other' })
    await service.exchange({ token: bad })
    await service.exchange({ token: `${token}x`, password: 'my-own-password' })
    await service.exchange({ token }, generateSecret('sk'))
    service.issuer.switchOff()
    service.pass(25 * 3_600_000)
    await service.exchange({ token: await service.token() })
    const log = service.logged.join('\n')
    expect(log).toContain('audience_mismatch')
    expect(log).toContain('provider_unavailable')
    const secrets = [token, bad, String(body['password']), service.secretKey, 'my-own-password']
    for (const secret of [...secrets, ...token.split('.'), ...bad.split('.')]) {
      expect(log).not.toContain(secret)
    }
  })
})

const putProvider = (over: Partial<ProviderRecord>): Promise<boolean> =>
  service.identities.put('provider', anOrganizationId, 'oidc', { ...aProviderOf(service.issuer), ...over })

const storedOf = ({ body }: Answer): Promise<IssuedCredential | undefined> =>
  service.credentials.get(anOrganizationId, String(body['id']))

async function decoded(token: Promise<string>): Promise<Record<string, unknown>> {
  const [, claims = ''] = (await token).split('.')
  return JSON.parse(Buffer.from(claims, 'base64url').toString()) as Record<string, unknown>
}
