import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { verifySecret } from '#core/credentials/verifier.ts'
import { subjectPrincipal } from '#core/identity/principal.ts'
import { anOrganizationId } from '../fixtures/records.ts'
import { type AppUnderTest, startApp } from './app-under-test.ts'

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
})

async function decoded(token: Promise<string>): Promise<Record<string, unknown>> {
  const [, claims = ''] = (await token).split('.')
  return JSON.parse(Buffer.from(claims, 'base64url').toString()) as Record<string, unknown>
}
