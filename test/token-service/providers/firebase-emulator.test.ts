import { decodeJwt } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { JsonObject } from '../../../token-service/verifier/compact-token.ts'
import { IssuerKeys } from '../../../token-service/verifier/issuer-keys.ts'
import { TokenRefused } from '../../../token-service/verifier/token-refused.ts'
import { verifyToken } from '../../../token-service/verifier/verify-token.ts'
import { type FirebaseEmulator, startFirebaseEmulator } from '../../fixtures/firebase-emulator.ts'
import { installedPackages } from '../../fixtures/node-packages.ts'
import { forgeToken, jwksOf, signWith } from '../../fixtures/issuer.ts'
import { anOrganizationId, aProvider } from '../../fixtures/records.ts'
import { genuineKeys } from '../../fixtures/token-forgeries.ts'

const now = 1_800_000_000

/** What the Auth emulator of firebase-tools puts into an ID token, by how somebody signed in. */
const common = (signInProvider: string, identities: object = {}): JsonObject => ({
  auth_time: now - 3,
  user_id: 'tHdmRk8ErXkSF2hOVFpF4Zr2lGm1',
  firebase: { identities, sign_in_provider: signInProvider },
  iat: now,
  exp: now + 3600,
  aud: 'my-app-1234',
  iss: 'https://securetoken.google.com/my-app-1234',
  sub: 'tHdmRk8ErXkSF2hOVFpF4Zr2lGm1',
})
const payloads: Readonly<Record<string, JsonObject>> = {
  'a password': {
    email: 'ada@example.com',
    email_verified: true,
    ...common('password', { email: ['ada@example.com'] }),
  },
  Google: {
    name: 'Ada',
    picture: '',
    email: 'ada@example.com',
    email_verified: true,
    ...common('google.com', { email: ['ada@example.com'], 'google.com': ['104732'] }),
  },
  'a phone': { phone_number: '+15555550100', ...common('phone', { phone: ['+15555550100'] }) },
  'a custom token with claims': { room: '7', ...common('custom') },
}

const outcome = (
  token: string,
  allowAnonymous = false,
  projectId = 'my-app-1234',
  seconds = now,
): Promise<unknown> =>
  verifyToken(
    token,
    {
      organization: anOrganizationId,
      record: aProvider({ type: 'firebase', settings: { projectId }, allowAnonymous }),
    },
    new IssuerKeys({
      fetch: async () => ({ text: JSON.stringify(jwksOf(genuineKeys)) }),
      now: () => seconds * 1000,
    }),
    () => seconds * 1000,
  ).then(
    ({ subject }) => subject,
    (error: unknown) => (error instanceof TokenRefused ? error.failure : Promise.reject(error as Error)),
  )

describe('a token of the Firebase emulator', () => {
  test.each(Object.entries(payloads))(
    'for %s is good once a key of Google has signed it',
    async (_name, payload) => {
      expect(await outcome(await signWith(genuineKeys, payload))).toBe(payload['sub'])
    },
  )

  test.each(Object.entries(payloads))(
    'for %s is refused as the emulator gives it',
    async (_name, payload) => {
      // No signature at all, and no key id.
      expect(await outcome(forgeToken({ alg: 'none', typ: 'JWT' }, payload, ''))).toBe(
        'unsupported_token_format',
      )
      // As mockUserToken of the client SDK spells it.
      expect(await outcome(forgeToken({ alg: 'none', type: 'JWT' }, payload, ''))).toBe(
        'unsupported_token_format',
      )
      // With something where the signature belongs, with a key id, or both.
      for (const header of [
        { alg: 'none' },
        { alg: 'none', kid: genuineKeys.RS256.kid },
        { alg: '', kid: 'x' },
      ]) {
        expect(await outcome(forgeToken(header, payload, 'c2ln'))).toBe('token_header_not_allowed')
      }
    },
  )

  test('for somebody anonymous is good only where that is allowed', async () => {
    const payload: JsonObject = { provider_id: 'anonymous', ...common('anonymous') }
    expect(await outcome(await signWith(genuineKeys, payload))).toBe('token_type_not_allowed')
    expect(await outcome(await signWith(genuineKeys, payload), true)).toBe(payload['sub'])
  })

  test('is refused whatever the environment of the process says', async () => {
    process.env['FIREBASE_AUTH_EMULATOR_HOST'] = '127.0.0.1:9099'
    try {
      const token = forgeToken({ alg: 'none', typ: 'JWT' }, payloads['a password'], '')
      expect(await outcome(token)).toBe('unsupported_token_format')
    } finally {
      delete process.env['FIREBASE_AUTH_EMULATOR_HOST']
    }
  })
})

const packages = await installedPackages('firebase-emulator')

describe.skipIf(packages === undefined)('a token that the emulator itself gives', () => {
  const projectId = 'demo-my-app'
  let emulator: FirebaseEmulator
  beforeAll(async () => {
    emulator = await startFirebaseEmulator(packages ?? '', projectId)
  }, 90_000)
  afterAll(() => emulator?.stop())

  const judge = (token: string, allowAnonymous = false): Promise<unknown> =>
    outcome(token, allowAnonymous, projectId, Math.floor(Date.now() / 1000))
  const signed = (token: string): Promise<string> => signWith(genuineKeys, decodeJwt(token) as JsonObject)

  test('to somebody with a password is refused, and good once a key of Google has signed it', async () => {
    const token = await emulator.signUp({ email: 'ada@example.com', password: 'secret-1' })
    const payload = decodeJwt(token)
    expect(await judge(token)).toBe('unsupported_token_format')
    expect(await judge(await signed(token))).toBe(payload.sub)
    expect(await outcome(await signed(token), false, 'demo-other', Number(payload.iat))).toBe(
      'issuer_mismatch',
    )
    // What is above is still what it gives.
    expect(Object.keys(payload).toSorted()).toEqual(Object.keys(payloads['a password'] ?? {}).toSorted())
  })

  test('to somebody anonymous is good only where that is allowed', async () => {
    const token = await emulator.signUp({})
    expect(await judge(token, true)).toBe('unsupported_token_format')
    expect(await judge(await signed(token))).toBe('token_type_not_allowed')
    expect(await judge(await signed(token), true)).toBe(decodeJwt(token).sub)
    const { provider_id: provider, firebase } = decodeJwt(token)
    expect([provider, firebase]).toEqual(['anonymous', { identities: {}, sign_in_provider: 'anonymous' }])
  })
})
