import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { IssuedCredential } from '#core/credentials/credential-record.ts'
import type { Attributes } from '#core/identity/attributes.ts'
import type { ProviderRecord } from '#core/identity/provider-record.ts'
import { claimAt } from '../../token-service/verifier/claims.ts'
import { anOrganizationId } from '../fixtures/records.ts'
import { type AppUnderTest, startApp, type Answer, aProviderOf } from './app-under-test.ts'

let service: AppUnderTest

beforeEach(async () => {
  service = await startApp()
})
afterEach(() => service.close())

describe('identity variables are', () => {
  const attributesOf = async (claims: Record<string, unknown>): Promise<Attributes | undefined> =>
    (await storedOf(await service.exchange({ token: await service.token(claims) })))?.attributes

  test('the subject, the session and what the provider maps', async () => {
    await putProvider({
      attributes: [
        { name: 'role', claim: '/https:~1~1acme.example~1role' },
        { name: 'team', claim: '/app_metadata/teams/1' },
        { name: 'level', claim: '/level' },
        { name: 'admin', claim: '/admin' },
      ],
    })
    expect(
      await attributesOf({
        sid: 's-1',
        'https://acme.example/role': 'editor',
        app_metadata: { teams: ['red', 'blue'] },
        level: 7,
        admin: false,
      }),
    ).toEqual({
      user_id: 'ada',
      provider: 'oidc',
      session_id: 's-1',
      'claims.role': 'editor',
      'claims.team': 'blue',
      'claims.level': '7',
      'claims.admin': 'false',
    })
  })

  test('left out where the claim has no single value, or too long a one', async () => {
    const names = ['list', 'object', 'nothing', 'missing', 'long', 'inherited', 'index']
    const pointers: Record<string, string> = { inherited: '/object/constructor/name', index: '/list/length' }
    await putProvider({
      attributes: names.map((name) => ({ name, claim: pointers[name] ?? `/${name}` })),
    })
    expect(
      await attributesOf({ list: ['a'], object: { a: 1 }, nothing: null, long: 'x'.repeat(513) }),
    ).toEqual({ user_id: 'ada', provider: 'oidc' })
  })

  test('never taken over by a claim of that name', async () => {
    await putProvider({
      attributes: [
        { name: 'user_id', claim: '/name' },
        { name: 'constructor', claim: '/name' },
      ],
    })
    expect(await attributesOf({ name: 'mallory' })).toEqual({
      user_id: 'ada',
      provider: 'oidc',
      'claims.user_id': 'mallory',
      'claims.constructor': 'mallory',
    })
  })

  test('an e-mail address only where the issuer vouches for it', async () => {
    const email = 'victim@example.com'
    expect(await attributesOf({ email, email_verified: true })).toHaveProperty('email', email)
    for (const email_verified of [false, 'true', 1, undefined]) {
      expect(await attributesOf({ email, email_verified })).not.toHaveProperty('email')
    }
  })
})

test('a claim is only what the token itself has', () => {
  const claims: object = Object.create({ role: 'admin' })
  expect(claimAt({ nested: claims }, '/nested/role')).toBeUndefined()
})

const putProvider = (over: Partial<ProviderRecord>): Promise<boolean> =>
  service.identities.put('provider', anOrganizationId, 'oidc', { ...aProviderOf(service.issuer), ...over })

const storedOf = ({ body }: Answer): Promise<IssuedCredential | undefined> =>
  service.credentials.get(anOrganizationId, String(body['id']))
