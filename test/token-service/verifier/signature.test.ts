import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { CompactSign, compactVerify } from 'jose'
import { describe, expect, test } from 'vitest'
import type { SignatureAlgorithm } from '../../../token-service/providers/provider.ts'
import { isSignedBy } from '../../../token-service/verifier/signature.ts'

interface Pair {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const pairs: { readonly [Algorithm in SignatureAlgorithm]: Pair } = {
  RS256: rsa,
  RS384: rsa,
  RS512: rsa,
  PS256: rsa,
  PS384: rsa,
  PS512: rsa,
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ES384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  ES512: generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  EdDSA: generateKeyPairSync('ed25519'),
}
const algorithms = Object.keys(pairs) as SignatureAlgorithm[]
const payload = JSON.stringify({ sub: 'ada', name: 'Zoë', admin: false })

const sign = (alg: SignatureAlgorithm): Promise<string> =>
  new CompactSign(Buffer.from(payload)).setProtectedHeader({ alg, kid: 'k' }).sign(pairs[alg].privateKey)
const byJose = (token: string, alg: SignatureAlgorithm): Promise<boolean> =>
  compactVerify(token, pairs[alg].publicKey, { algorithms: [alg] }).then(
    () => true,
    () => false,
  )

/** What somebody does to a token who has no key. */
function* changesOf(token: string): Generator<string> {
  const [header = '', claims = '', signature = ''] = token.split('.')
  const bytes = Buffer.from(signature, 'base64url')
  const withSignature = (changed: Buffer): string => `${header}.${claims}.${changed.toString('base64url')}`
  for (const at of [0, 1, bytes.length >> 1, bytes.length - 1]) {
    const changed = Buffer.from(bytes)
    changed[at] = (changed[at] ?? 0) ^ 1
    yield withSignature(changed)
  }
  yield withSignature(Buffer.alloc(bytes.length))
  yield withSignature(Buffer.alloc(bytes.length, 0xff))
  yield withSignature(bytes.subarray(1))
  yield withSignature(bytes.subarray(0, -1))
  yield withSignature(Buffer.concat([bytes, Buffer.from([0])]))
  yield withSignature(Buffer.concat([Buffer.from([0]), bytes]))
  yield `${header}.${Buffer.from(payload.replace('false', 'true')).toString('base64url')}.${signature}`
  yield `${Buffer.from('{"alg":"none","kid":"k"}').toString('base64url')}.${claims}.${signature}`
  yield `${header}.${claims.slice(0, -1)}.${signature}`
}

describe('a signature', () => {
  test.each(algorithms)('of %s holds, as jose says, and no change of the token does', async (alg) => {
    const token = await sign(alg)
    expect(isSignedBy(token, pairs[alg].publicKey, alg)).toBe(true)
    expect(await byJose(token, alg)).toBe(true)
    for (const changed of changesOf(token)) {
      expect(isSignedBy(changed, pairs[alg].publicKey, alg), changed).toBe(false)
    }
  })

  test.each(['RS256', 'PS256'] as const)(
    'of %s is as long as the key, also where it begins with a zero',
    async (alg) => {
      const { privateKey, publicKey } = pairs[alg]
      for (let attempt = 0; attempt < 20_000; attempt += 1) {
        const token = await new CompactSign(Buffer.from(`{"attempt":${attempt}}`))
          .setProtectedHeader({ alg, kid: 'k' })
          .sign(privateKey)
        const [header = '', claims = '', text = ''] = token.split('.')
        const signature = Buffer.from(text, 'base64url')
        if (signature[0] !== 0) continue
        expect(isSignedBy(token, publicKey, alg)).toBe(true)
        const short = `${header}.${claims}.${signature.subarray(1).toString('base64url')}`
        expect(isSignedBy(short, publicKey, alg)).toBe(false)
        return
      }
      throw new Error('no signature began with a zero')
    },
  )

  test('is of the key that made it, and of the algorithm', async () => {
    const others = {
      rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey,
      ec: generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey,
      ed25519: generateKeyPairSync('ed25519').publicKey,
    }
    expect(isSignedBy(await sign('RS256'), others.rsa, 'RS256')).toBe(false)
    expect(isSignedBy(await sign('ES256'), others.ec, 'ES256')).toBe(false)
    expect(isSignedBy(await sign('EdDSA'), others.ed25519, 'EdDSA')).toBe(false)
    for (const alg of ['RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const) {
      expect(isSignedBy(await sign('RS256'), rsa.publicKey, alg)).toBe(false)
      expect(isSignedBy(await sign(alg), rsa.publicKey, 'RS256')).toBe(false)
    }
  })
})
