import { createHmac } from 'node:crypto'
import { beforeEach, describe, expect, test } from 'vitest'
import type { JsonObject } from '../../../token-service/verifier/compact-token.ts'
import { IssuerKeys } from '../../../token-service/verifier/issuer-keys.ts'
import { TokenRefused } from '../../../token-service/verifier/token-refused.ts'
import { verifyToken } from '../../../token-service/verifier/verify-token.ts'
import { forgeToken, jwksOf, signShared, signWith } from '../../fixtures/issuer.ts'
import { type ProviderSample, recordOf } from '../../fixtures/provider-sample.ts'
import { moreSamples, providerSamples } from '../../fixtures/provider-samples.ts'
import { anOrganizationId, anotherOrganizationId } from '../../fixtures/records.ts'
import { aSealingKey, testSealing } from '../../fixtures/sealing.ts'
import { genuineKeys as keys } from '../../fixtures/token-forgeries.ts'

const now = 1_800_000_000
const legacy = moreSamples.find(({ name }) => name === 'supabase with its legacy secret')
  ?.sample as ProviderSample<'supabase'>
const secret = legacy.sharedSecret ?? ''
const claims = legacy.claims(now)
const asked: string[] = []
let published: { keys: readonly JsonObject[] }
beforeEach(() => {
  asked.length = 0
  published = jwksOf(keys)
})

interface Options {
  readonly sealing?: typeof testSealing | 'none'
  readonly organization?: typeof anOrganizationId
}

async function judge(
  token: string,
  record = recordOf('supabase', legacy),
  { sealing = testSealing, organization = anOrganizationId }: Options = {},
): Promise<string> {
  const issuerKeys = new IssuerKeys({
    fetch: async (url) => {
      asked.push(url)
      return { text: JSON.stringify(published) }
    },
    now: () => now * 1000,
    sealing: sealing === 'none' ? undefined : sealing,
  })
  try {
    return (await verifyToken(token, { organization, record }, issuerKeys, () => now * 1000)).subject
  } catch (error) {
    if (error instanceof TokenRefused) return error.failure
    throw error
  }
}
/** What everybody knows who can read the key set, in every spelling in which it could become a secret. */
function publicTexts(): readonly (readonly [string, string | Buffer])[] {
  return Object.entries(keys).flatMap(([alg, { kid, publicKey }]) => {
    const pem = publicKey.export({ format: 'pem', type: 'spki' }) as string
    const der = publicKey.export({ format: 'der', type: 'spki' })
    const jwk = jwksOf(keys).keys.find((each) => each['kid'] === kid)
    return [
      [`${alg} PEM`, pem],
      [`${alg} PEM without its line break`, pem.trimEnd()],
      [`${alg} DER`, der],
      [`${alg} DER in base64`, der.toString('base64')],
      [`${alg} JWK`, JSON.stringify(jwk)],
      [`${alg} modulus or point`, String(jwk?.['n'] ?? jwk?.['x'])],
      [`${alg} key id`, kid],
    ] as const
  })
}

describe('a provider with a shared secret (HS256)', () => {
  test('takes its tokens, with and without a key id, and asks nobody', async () => {
    expect(await judge(await signShared(secret, claims))).toBe(claims['sub'])
    expect(await judge(await signShared(secret, claims, { kid: 'legacy' }))).toBe(claims['sub'])
    expect(asked).toEqual([])
  })

  test('takes tokens of its published keys too, while it moves to them', async () => {
    expect(await judge(await signWith(keys, claims))).toBe(claims['sub'])
    expect(await judge(await signWith(keys, claims, { alg: 'ES256' }))).toBe(claims['sub'])
    const nameless = await signWith(keys, claims, { header: { kid: undefined } })
    expect(await judge(nameless)).toBe('token_header_not_allowed')
  })

  test.each(publicTexts())('never takes for it what is public: %s', async (_name, text) => {
    for (const kid of [undefined, ...Object.values(keys).map((key) => key.kid)]) {
      const [head, payload] = forgeToken({ alg: 'HS256', typ: 'JWT', kid }, claims).split('.')
      const signed = `${head}.${payload}`
      const token = `${signed}.${createHmac('sha256', text).update(signed).digest('base64url')}`
      expect(await judge(token)).toBe('invalid_signature')
      expect(await judge(token, recordOf('supabase', providerSamples.supabase))).toBe(
        'token_header_not_allowed',
      )
    }
    expect(asked).toEqual([])
  })

  test('takes no secret that somebody published', async () => {
    published = {
      keys: [
        { kty: 'oct', kid: 'shared', alg: 'HS256', k: Buffer.from('x'.repeat(32)).toString('base64url') },
      ],
    }
    const token = await signShared('x'.repeat(32), claims, { kid: 'shared' })
    expect(await judge(token)).toBe('invalid_signature')
  })

  test.each([
    ['another secret', () => signShared('y'.repeat(64), claims)],
    ['the start of the secret', () => signShared(secret.slice(0, 40), claims)],
    ['the bytes that the secret looks like', () => signShared(Buffer.from(secret, 'base64'), claims)],
    ['nothing', async () => forgeToken({ alg: 'HS256', typ: 'JWT' }, claims, 'AAAA')],
  ])('refuses what %s signed', async (_name, make) => {
    expect(await judge(await make())).toBe('invalid_signature')
  })

  test('wants all of the code, and no more', async () => {
    const [head, payload, code = ''] = (await signShared(secret, claims)).split('.')
    const bytes = Buffer.from(code, 'base64url')
    for (const changed of [bytes.subarray(0, 31), bytes.subarray(1), Buffer.concat([bytes, bytes])]) {
      expect(await judge(`${head}.${payload}.${changed.toString('base64url')}`)).toBe('invalid_signature')
    }
  })

  test.each(['HS384', 'HS512', 'none'])('takes no %s', async (alg) => {
    const token = alg === 'none' ? forgeToken({ alg }, claims) : await signShared(secret, claims, { alg })
    expect(await judge(token)).toBe('token_header_not_allowed')
  })

  test('can not judge them without the sealing key, or with what was sealed for another', async () => {
    const token = await signShared(secret, claims)
    const sealedAway = { code: 'secret-sealed' }
    for (const sealing of [aSealingKey(), 'none'] as const) {
      await expect(judge(token, recordOf('supabase', legacy), { sealing })).rejects.toMatchObject(sealedAway)
    }
    const organization = anotherOrganizationId
    await expect(judge(token, recordOf('supabase', legacy), { organization })).rejects.toMatchObject(
      sealedAway,
    )
    const record = recordOf('supabase', legacy)
    await expect(judge(token, { ...record, uid: 'uid-other' })).rejects.toMatchObject(sealedAway)
    const { secrets: _, ...without } = record
    expect(await judge(token, without)).toBe('invalid_signature')
  })
})
