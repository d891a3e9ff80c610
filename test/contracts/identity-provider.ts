import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { ProviderRecord } from '#core/identity/provider-record.ts'
import type { ProviderType } from '#core/resources/identity-provider.ts'
import type { JsonObject } from '../../token-service/verifier/compact-token.ts'
import { IssuerKeys } from '../../token-service/verifier/issuer-keys.ts'
import {
  ProviderUnavailable,
  type TokenFailure,
  TokenRefused,
} from '../../token-service/verifier/token-refused.ts'
import { type Identity, verifyToken } from '../../token-service/verifier/verify-token.ts'
import { forgeToken, jwksOf, newSigningKeys, type SignOptions, signWith } from '../fixtures/issuer.ts'
import type { ProviderSample, Variant } from '../fixtures/provider-samples.ts'
import { anOrganizationId, aProvider } from '../fixtures/records.ts'

const now = 1_800_000_000
const keys = newSigningKeys()
const foreignKeys = newSigningKeys()
const publicPem = keys.RS256.publicKey.export({ format: 'pem', type: 'spki' })

/** Every kind of identity provider runs this: what it accepts, and everything that it must not. */
export function describeIdentityProvider<Type extends ProviderType>(
  type: Type,
  sample: ProviderSample<Type>,
): void {
  const good = sample.claims(now)
  const goodHeader = sample.header ?? {}

  const judge = (token: string, over: Partial<ProviderRecord> = {}): Promise<Identity> => {
    const record = aProvider({ type, settings: sample.settings, ...over })
    return verifyToken(token, { organization: anOrganizationId, record }, issuerOnline(), () => now * 1000)
  }
  const sign = (claims: JsonObject = {}, options: SignOptions = {}): Promise<string> =>
    signWith(keys, { ...good, ...claims }, { ...options, header: { ...goodHeader, ...options.header } })
  const variant = ({ claims, header }: Variant): Promise<string> => sign(claims, header ? { header } : {})
  const refusal = (token: string, over: Partial<ProviderRecord> = {}): Promise<TokenFailure | 'accepted'> =>
    judge(token, over).then(
      () => 'accepted' as const,
      (error: unknown) => {
        if (error instanceof TokenRefused) return error.failure
        throw error
      },
    )

  describe(`${type} keeps the contract of an identity provider:`, () => {
    test('a token as it really issues them is accepted, and says who it is', async () => {
      const { issuedAt, expiresAt, subject, issuer, tenant, email, sessionId } = await judge(await sign())
      expect({ issuedAt, expiresAt, subject, issuer }).toEqual({
        issuedAt: good['iat'],
        expiresAt: good['exp'],
        subject: good['sub'],
        issuer: good['iss'],
      })
      expect(without({ tenant, email, sessionId })).toEqual(sample.identity)
    })

    describe('a forged token is refused:', () => {
      const header = { alg: 'RS256', typ: 'JWT', kid: keys.RS256.kid, ...goodHeader }
      const forgeries: Readonly<Record<string, [() => string | Promise<string>, TokenFailure]>> = {
        'signed with a foreign key under a known id': [
          () => sign({}, { key: foreignKeys.RS256.privateKey }),
          'invalid_signature',
        ],
        'signed with a foreign key under its own id': [
          () => signWith(foreignKeys, good, { header: goodHeader }),
          'unknown_key',
        ],
        'with other claims under a genuine signature': [
          async () => {
            const [head, , signature] = (await sign()).split('.')
            const claims = Buffer.from(JSON.stringify({ ...good, sub: 'mallory' })).toString('base64url')
            return `${head}.${claims}.${signature}`
          },
          'invalid_signature',
        ],
        'with alg none': [() => forgeToken({ ...header, alg: 'none' }, good), 'token_header_not_allowed'],
        'with alg NONE and no signature': [
          () => forgeToken({ ...header, alg: 'NONE' }, good, ''),
          'unsupported_token_format',
        ],
        'HS256 with the public key as secret': [
          () => {
            const [head, claims] = forgeToken({ ...header, alg: 'HS256' }, good).split('.')
            const signed = `${head}.${claims}`
            return `${signed}.${createHmac('sha256', publicPem).update(signed).digest('base64url')}`
          },
          'token_header_not_allowed',
        ],
        'ES256 under the id of an RSA key': [
          () => sign({}, { alg: 'ES256', header: { kid: keys.RS256.kid } }),
          // For a provider without ES256 the header is wrong already.
          'unknown_key',
        ],
        'with a key in the header': [
          () => sign({}, { header: { jwk: foreignKeys.RS256.publicKey.export({ format: 'jwk' }) } }),
          'token_header_not_allowed',
        ],
        ...Object.fromEntries(
          ['jku', 'x5u', 'x5c', 'x5t', 'zip', 'enc'].map((name) => [
            `with ${name} in the header`,
            [() => sign({}, { header: { [name]: 'https://evil.example/jwks' } }), 'token_header_not_allowed'],
          ]),
        ),
        'with a critical extension': [
          () => forgeToken({ ...header, crit: ['b64'], b64: false }, good),
          'token_header_not_allowed',
        ],
        'without a key id': [() => sign({}, { header: { kid: undefined } }), 'token_header_not_allowed'],
        'with an empty key id': [() => sign({}, { header: { kid: '' } }), 'token_header_not_allowed'],
        'with a key id that is no text': [
          () => forgeToken({ ...header, kid: ['a'] }, good),
          'token_header_not_allowed',
        ],
        'with a key id of 257 characters': [
          () => sign({}, { header: { kid: 'k'.repeat(257) } }),
          'token_header_not_allowed',
        ],
        'with __proto__ as key id': [() => sign({}, { header: { kid: '__proto__' } }), 'unknown_key'],
        'with constructor as key id': [() => sign({}, { header: { kid: 'constructor' } }), 'unknown_key'],
        'of another typ': [() => sign({}, { header: { typ: 'dpop+jwt' } }), 'token_type_not_allowed'],
      }
      test.each(Object.entries(forgeries))('%s', async (name, [make, failure]) => {
        const actual = await refusal(await make())
        const rsaOnly = name.startsWith('ES256') && actual === 'token_header_not_allowed'
        expect(rsaOnly ? 'unknown_key' : actual).toBe(failure)
      })
    })

    describe('one token has one spelling:', () => {
      const spellings: Readonly<Record<string, (token: string) => string>> = {
        'padding at its end': (token) => `${token}==`,
        'a line feed at its end': (token) => `${token}\n`,
        'a space before it': (token) => ` ${token}`,
        'a space within the signature': (token) => `${token.slice(0, -4)} ${token.slice(-4)}`,
        'plus and slash for minus and underscore': (token) =>
          `${token.replaceAll('-', '+').replaceAll('_', '/')}+`,
        'set bits after the signature': (token) => {
          const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
          // 256 bytes end with a character of which only 2 bits count.
          return token.slice(0, -1) + (alphabet[alphabet.indexOf(token.slice(-1)) + 1] ?? '')
        },
        'a fourth part': (token) => `${token}.e30`,
        'encryption (five parts)': () => 'eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..aXY.Y3Q.dGFn',
        'an opaque token': () => 'v1.opaque-token',
        nothing: () => '',
      }
      test.each(Object.entries(spellings))('not with %s', async (_name, spell) => {
        expect(await refusal(spell(await sign()))).toBe('unsupported_token_format')
      })

      test.each([
        ['a list', '[]'],
        ['null', 'null'],
        ['a text', '"x"'],
        ['no JSON', '{"sub":'],
      ])('not with a payload that is %s', async (_name, payload) => {
        const [head, , signature] = (await sign()).split('.')
        const token = `${head}.${Buffer.from(payload).toString('base64url')}.${signature}`
        expect(await refusal(token)).toBe('unsupported_token_format')
      })

      test('not with a payload that is no UTF-8', async () => {
        const [head, , signature] = (await sign()).split('.')
        const bytes = Buffer.concat([Buffer.from('{"sub":"'), Buffer.from([0xff]), Buffer.from('"}')])
        expect(await refusal(`${head}.${bytes.toString('base64url')}.${signature}`)).toBe(
          'unsupported_token_format',
        )
      })
    })

    describe('a genuine token is refused with', () => {
      const mutations: readonly [string, JsonObject, TokenFailure][] = [
        ['another issuer', { iss: 'https://evil.example' }, 'issuer_mismatch'],
        ['a longer issuer', { iss: `${String(good['iss'])}x` }, 'issuer_mismatch'],
        ['a list as issuer', { iss: [good['iss']] }, 'claim_mismatch'],
        ['no issuer', { iss: undefined }, 'claim_mismatch'],
        ['no subject', { sub: undefined }, 'claim_mismatch'],
        ['an empty subject', { sub: '' }, 'claim_mismatch'],
        ['a number as subject', { sub: 7 }, 'claim_mismatch'],
        ['a subject of 256 characters', { sub: `user_${'x'.repeat(251)}` }, 'claim_mismatch'],
        ['no exp', { exp: undefined }, 'claim_mismatch'],
        ['exp 1e300', { exp: 1e300 }, 'claim_mismatch'],
        ['exp as text', { exp: String(now + 60) }, 'claim_mismatch'],
        ['a fraction as exp', { exp: now + 60.5 }, 'claim_mismatch'],
        ['an exp that has passed', { iat: now - 600, exp: now - 5 }, 'token_expired'],
        ['no iat', { iat: undefined }, 'claim_mismatch'],
        ['an iat in the future', { iat: now + 6, exp: now + 60 }, 'token_not_yet_valid'],
        ['an iat after its exp', { iat: now + 5, exp: now + 4 }, 'claim_mismatch'],
        ['a life of more than 30 days', { exp: now + 31 * 86_400 }, 'claim_mismatch'],
        ['an nbf in the future', { nbf: now + 6 }, 'token_not_yet_valid'],
        ['a text as nbf', { nbf: 'soon' }, 'claim_mismatch'],
      ]
      test.each(mutations)('%s', async (_name, claims, failure) => {
        expect(await refusal(await sign(claims))).toBe(failure)
      })

      const { aud } = good
      const audiences: readonly [string, JsonObject, TokenFailure][] = [
        ['another audience', { aud: 'other-app' }, 'audience_mismatch'],
        ['an empty list as audience', { aud: [] }, 'audience_mismatch'],
        ['no audience', { aud: undefined }, 'claim_mismatch'],
        ['an object in its audience', { aud: [aud, {}] }, 'claim_mismatch'],
      ]
      test.each(aud === undefined ? [] : audiences)('%s', async (_name, claims, failure) => {
        expect(await refusal(await sign(claims))).toBe(failure)
      })

      test.each(sample.refused.map((each) => [each.name, each] as const))('%s', async (_name, each) => {
        expect(await refusal(await variant(each), { allowAnonymous: true, allowMachine: true })).toBe(
          each.failure,
        )
      })
    })

    test('a clock that is off by less than five seconds is forgiven', async () => {
      expect(await refusal(await sign({ iat: now - 60, exp: now - 4 }))).toBe('accepted')
      expect(await refusal(await sign({ iat: now + 5, nbf: now + 5 }))).toBe('accepted')
    })

    test.each((sample.onlyIfAllowed ?? []).map((each) => [each.name, each.by, each] as const))(
      '%s is accepted only with %s',
      async (_name, by, each) => {
        const token = await variant(each)
        const all = { allowAnonymous: true, allowMachine: true }
        expect(await refusal(token, { ...all, [by]: false })).toBe('token_type_not_allowed')
        expect(await refusal(token, { allowAnonymous: false, allowMachine: false, [by]: true })).toBe(
          'accepted',
        )
      },
    )

    test('bound claims bind', async () => {
      const token = await sign({ roles: ['reader', 'editor'], 'a/b': { n: 7 }, flag: true })
      const bound = (claim: string, ...values: string[]): Promise<string> =>
        refusal(token, { boundClaims: [{ claim, values }] })
      expect(await bound('/roles', 'editor')).toBe('accepted')
      expect(await bound('/roles/1', 'editor')).toBe('accepted')
      expect(await bound('/a~1b/n', '7')).toBe('accepted')
      expect(await bound('/flag', 'true')).toBe('accepted')
      expect(await bound('/roles', 'owner')).toBe('claim_mismatch')
      expect(await bound('/roles/length', '2')).toBe('claim_mismatch')
      expect(await bound('/missing', 'undefined')).toBe('claim_mismatch')
      expect(await bound('/a~1b', '[object Object]')).toBe('claim_mismatch')
      expect(await bound('/constructor/name', 'Object')).toBe('claim_mismatch')
    })

    test('an issuer that does not answer is no reason to refuse the token', async () => {
      const offline = new IssuerKeys({
        fetch: () => Promise.reject(new Error('down')),
        now: () => now * 1000,
      })
      const record = aProvider({ type, settings: sample.settings })
      await expect(
        verifyToken(await sign(), { organization: anOrganizationId, record }, offline, () => now * 1000),
      ).rejects.toBeInstanceOf(ProviderUnavailable)
    })

    test('settings that are not its own are a damaged record, whatever the token', async () => {
      await expect(judge(await sign(), { settings: { url: 7 } })).rejects.toMatchObject({
        code: 'record-damaged',
      })
    })
  })
}

function issuerOnline(): IssuerKeys {
  return new IssuerKeys({
    fetch: async (url) => {
      expect(url).toMatch(/^https:/)
      return { text: JSON.stringify(jwksOf(keys)) }
    },
    now: () => now * 1000,
  })
}

/** Without what is undefined: JSON has no such value. */
function without(claims: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined))
}
