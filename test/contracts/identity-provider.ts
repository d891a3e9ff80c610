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
import { type Identity, principalsOf, verifyToken } from '../../token-service/verifier/verify-token.ts'
import { jwksOf, type SignOptions } from '../fixtures/issuer.ts'
import { type ProviderSample, recordOf, signAs, type Variant } from '../fixtures/provider-sample.ts'
import { anOrganizationId } from '../fixtures/records.ts'
import { testSealing } from '../fixtures/sealing.ts'
import {
  audienceMutations,
  claimMutations,
  forgeries,
  genuineKeys as keys,
  spellings,
} from '../fixtures/token-forgeries.ts'

const now = 1_800_000_000

/** Every kind of identity provider runs this: what it accepts, and everything that it must not. */
export function describeIdentityProvider<Type extends ProviderType>(
  type: Type,
  sample: ProviderSample<Type>,
  name: string = type,
): void {
  const good = sample.claims(now)
  const goodHeader = sample.header ?? {}

  const judge = (token: string, over: Partial<ProviderRecord> = {}): Promise<Identity> => {
    const record = recordOf(type, sample, over)
    return verifyToken(token, { organization: anOrganizationId, record }, issuerOnline(), () => now * 1000)
  }
  const sign = (claims: JsonObject = {}, options: SignOptions = {}): Promise<string> =>
    signAs(sample, keys, { ...good, ...claims }, options)
  const variant = ({ claims, header }: Variant): Promise<string> => sign(claims, header ? { header } : {})
  const refusal = (token: string, over: Partial<ProviderRecord> = {}): Promise<TokenFailure | 'accepted'> =>
    judge(token, over).then(
      () => 'accepted' as const,
      (error: unknown) => {
        if (error instanceof TokenRefused) return error.failure
        throw error
      },
    )

  describe(`${name} keeps the contract of an identity provider:`, () => {
    test('a token as it really issues them is accepted, and says who it is', async () => {
      const { issuedAt, expiresAt, subject, issuer, email, sessionId, principal } = await judge(await sign())
      expect({ issuedAt, expiresAt, subject, issuer }).toEqual({
        issuedAt: good['iat'],
        expiresAt: good['exp'],
        subject: good['sub'],
        issuer: good['iss'],
      })
      expect(without({ email, sessionId })).toEqual(sample.identity)
      const record = recordOf(type, sample)
      expect(principalsOf(record, subject)).toContain(principal)
      expect(principalsOf(record, `${subject}x`)).not.toContain(principal)
    })

    test.each((sample.alsoIssued ?? []).map((each) => [each.name, each] as const))(
      'a token as it really issues them with %s is accepted too, as the same person',
      async (_name, each) => {
        const { email, sessionId, principal } = await judge(await variant(each))
        expect(without({ email, sessionId })).toEqual(sample.identity)
        expect(principal).toBe((await judge(await sign())).principal)
      },
    )

    describe('a forged token is refused:', () => {
      test.each(Object.entries(forgeries(good, goodHeader)))('%s', async (name, [make, failure]) => {
        const actual = await refusal(await make())
        const rsaOnly = name.startsWith('ES256') && actual === 'token_header_not_allowed'
        // Where tokens by HS256 are taken, the header may say so; the key is another one all the same.
        const isMac = name.startsWith('HS256') && sample.sharedSecret !== undefined
        expect(rsaOnly ? 'unknown_key' : actual).toBe(isMac ? 'invalid_signature' : failure)
      })
    })

    describe('one token has one spelling:', () => {
      test.each(Object.entries(spellings))('not with %s', async (_name, spell) => {
        expect(await refusal(spell(await sign()))).toBe('unsupported_token_format')
      })

      test.each([
        ['a list', '[]'],
        ['null', 'null'],
        ['a text', '"x"'],
        ['no JSON', '{"sub":'],
        ['a claim twice', '{"sub":"ada","iss":"x","sub":"mallory"}'],
        ['a claim twice within another', '{"sub":"ada","a":[{"b":1,"c":{},"b":2}]}'],
        ['a claim twice in two spellings', '{"sub":"ada","s\\u0075b":"mallory"}'],
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
      test.each(claimMutations(good, now))('%s', async (_name, claims, failure) => {
        expect(await refusal(await sign(claims))).toBe(failure)
      })

      test.each(audienceMutations(good))('%s', async (_name, claims, failure) => {
        expect(await refusal(await sign(claims))).toBe(failure)
      })

      test.each(sample.refused.map((each) => [each.name, each] as const))('%s', async (_name, each) => {
        expect(await refusal(await variant(each), { allowAnonymous: true, allowMachine: true })).toBe(
          each.failure,
        )
      })
    })

    test('a clock that is off by less than five seconds is forgiven, where the provider forgives it too', async () => {
      const leeway = sample.leeway ?? 5
      const expiring = (seconds: number): Promise<string> => sign({ iat: now - 60, exp: now + seconds })
      expect(await refusal(await expiring(1 - leeway))).toBe('accepted')
      expect(await refusal(await expiring(-leeway))).toBe('token_expired')
      expect(await refusal(await sign({ iat: now + 5, nbf: now + leeway }))).toBe('accepted')
      expect(await refusal(await sign({ nbf: now + leeway + 1 }))).toBe('token_not_yet_valid')
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

    test('whoever impersonates a user is named, and refused where the provider forbids it', async () => {
      const impersonated = await sign({ act: { sub: 'user_support', act: { sub: 'earlier' } } })
      expect(await judge(impersonated)).toMatchObject({ actor: 'user_support', subject: good['sub'] })
      expect((await judge(await sign())).actor).toBeUndefined()
      const forbidden = { allowImpersonation: false }
      expect(await refusal(impersonated, forbidden)).toBe('token_type_not_allowed')
      expect(await refusal(await sign({ act: 'user_support' }), forbidden)).toBe('token_type_not_allowed')
      expect(await refusal(await sign(), forbidden)).toBe('accepted')
    })

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
      const record = recordOf(type, sample)
      await expect(
        verifyToken(
          await sign({}, { alg: 'RS256' }),
          { organization: anOrganizationId, record },
          offline,
          () => now * 1000,
        ),
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
    sealing: testSealing,
  })
}

/** Without what is undefined: JSON has no such value. */
function without(claims: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined))
}
