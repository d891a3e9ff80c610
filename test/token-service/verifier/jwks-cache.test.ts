import { generateKeyPairSync } from 'node:crypto'
import { beforeEach, describe, expect, test } from 'vitest'
import type { FetchedDocument } from '../../../token-service/verifier/document-fetcher.ts'
import { IssuerKeys } from '../../../token-service/verifier/issuer-keys.ts'
import { parseJwkSet } from '../../../token-service/verifier/jwk-set.ts'
import { JwksCache } from '../../../token-service/verifier/jwks-cache.ts'
import { ProviderUnavailable } from '../../../token-service/verifier/token-refused.ts'
import { jwksOf, newSigningKeys } from '../../fixtures/issuer.ts'

const document = { scope: 'org_a/uid', url: 'https://issuer.example/jwks' }
const keys = newSigningKeys()
const newer = newSigningKeys()
const second = 1_000
const minute = 60 * second
const hour = 60 * minute

let now = 0
let fetched: string[] = []
/** What the issuer answers at this moment; undefined: it fails. */
let answer: FetchedDocument | undefined
let pending: Promise<void> = Promise.resolve()
let cache: JwksCache

const fetch = async (url: string): Promise<FetchedDocument> => {
  fetched.push(url)
  await pending
  if (answer === undefined) throw new Error('down')
  return answer
}
const publish = (set: object, maxAgeSeconds?: number): void =>
  void (answer = { text: JSON.stringify(set), maxAgeSeconds })
const find = (kid = keys.RS256.kid, of = document): Promise<unknown> => cache.find(of, kid, 'RS256')
const outcome = (kid?: string, of?: typeof document): Promise<string> =>
  find(kid, of).then(
    () => 'found',
    (error: unknown) => (error instanceof ProviderUnavailable ? 'unavailable' : 'unknown'),
  )

beforeEach(() => {
  now = 1_800_000_000_000
  fetched = []
  pending = Promise.resolve()
  publish(jwksOf(keys))
  cache = new JwksCache({ fetch, now: () => now, parse: parseJwkSet })
})

describe('keys of an issuer are asked for as seldom as possible:', () => {
  test('once in ten minutes', async () => {
    await find()
    now += 10 * minute - 1
    await find()
    expect(fetched).toHaveLength(1)
    now += 1
    await find()
    expect(fetched).toHaveLength(2)
  })

  test.each([
    [30, 60],
    [300, 300],
    [86_400, 600],
  ])('where the issuer says max-age=%i, once in %i seconds', async (maxAge, seconds) => {
    publish(jwksOf(keys), maxAge)
    await find()
    now += seconds * second - 1
    await find()
    expect(fetched).toHaveLength(1)
    now += 1
    await find()
    expect(fetched).toHaveLength(2)
  })

  test('once for a hundred who ask at the same time', async () => {
    const gate = Promise.withResolvers<void>()
    pending = gate.promise
    const all = Promise.all(Array.from({ length: 100 }, () => outcome()))
    gate.resolve()
    expect(new Set(await all)).toEqual(new Set(['found']))
    expect(fetched).toHaveLength(1)
  })

  test('one organization never reads what was fetched for another', async () => {
    await find()
    publish(jwksOf(newer))
    expect(await outcome(keys.RS256.kid, { ...document, scope: 'org_b/uid' })).toBe('unknown')
    expect(await outcome(newer.RS256.kid, { ...document, scope: 'org_b/uid' })).toBe('found')
    expect(await outcome()).toBe('found')
  })
})

describe('a key id that is not there', () => {
  test('makes the cache ask again, so that a rotated key is found at once', async () => {
    await find()
    now += 30 * second
    publish(jwksOf(newer))
    expect(await outcome(newer.RS256.kid)).toBe('found')
    expect(fetched).toHaveLength(2)
    expect(await outcome(keys.RS256.kid)).toBe('unknown')
  })

  test('does so at most once in 30 seconds, whatever ids are tried', async () => {
    await find()
    for (let second = 0; second < 90; second += 1) {
      expect(await outcome(`guess-${second}`)).toBe('unknown')
      now += 1_000
    }
    expect(fetched).toHaveLength(3)
  })

  test('is remembered for a minute', async () => {
    await find()
    now += 30 * second
    expect(await outcome('guess')).toBe('unknown')
    now += 31 * second
    expect(await outcome('guess')).toBe('unknown')
    expect(fetched).toHaveLength(2)
    now += 30 * second
    expect(await outcome('guess')).toBe('unknown')
    expect(fetched).toHaveLength(3)
  })

  test('is no reason for a refusal while the issuer fails: the key may be new', async () => {
    await find()
    now += 30 * second
    answer = undefined
    expect(await outcome(newer.RS256.kid)).toBe('unavailable')
    expect(await outcome(newer.RS256.kid)).toBe('unavailable')
    expect(fetched).toHaveLength(2)
    now += 30 * second
    publish(jwksOf(newer))
    expect(await outcome(newer.RS256.kid)).toBe('found')
  })
})

describe('an issuer that fails', () => {
  test('is asked again after five seconds, not by everybody', async () => {
    answer = undefined
    for (let count = 0; count < 10; count += 1) expect(await outcome()).toBe('unavailable')
    expect(fetched).toHaveLength(1)
    now += 5 * second
    publish(jwksOf(keys))
    expect(await outcome()).toBe('found')
  })

  test('is served by its last keys for a day, and not longer', async () => {
    await find()
    answer = undefined
    now += 24 * hour - 1
    expect(await outcome()).toBe('found')
    now += 1
    expect(await outcome()).toBe('unavailable')
  })

  test('lets nobody wait for it while the last keys serve', async () => {
    await find()
    answer = undefined
    now += 11 * minute
    expect(await outcome()).toBe('found')
    now += 6 * second
    pending = new Promise(() => {})
    expect(await outcome()).toBe('found')
    expect(fetched).toHaveLength(3)
  })

  test.each([
    ['no JSON', '<html>'],
    ['no key set', '{"issuer":"x"}'],
    ['a list', '[]'],
    ['null', 'null'],
    ['51 keys', JSON.stringify({ keys: Array.from({ length: 51 }, () => ({})) })],
  ])('by sending %s keeps its last keys', async (_name, text) => {
    await find()
    now += 11 * minute
    answer = { text }
    expect(await outcome()).toBe('found')
    expect(await outcome('other', { ...document, scope: 'org_b/uid' })).toBe('unavailable')
  })
})

describe('a key is left out of the set', () => {
  const jwk = (bits: number, exponent?: number): object =>
    generateKeyPairSync('rsa', {
      modulusLength: bits,
      ...(exponent ? { publicExponent: exponent } : {}),
    }).publicKey.export({ format: 'jwk' })
  const good = { ...keys.RS256.publicKey.export({ format: 'jwk' }), kid: 'k' }

  test.each<[string, object]>([
    ['an RSA key of 1024 bits', { ...jwk(1024), kid: 'k' }],
    ['an RSA key with exponent 3', { ...jwk(2048, 3), kid: 'k' }],
    ['an RSA key with exponent 1', { ...good, e: 'AQ' }],
    ['an RSA key of more than 8192 bits', { ...good, n: Buffer.alloc(1025, 255).toString('base64url') }],
    ['a shared secret', { kty: 'oct', k: 'c2VjcmV0', kid: 'k' }],
    ['a key for encryption', { ...good, use: 'enc' }],
    ['a key that may not verify', { ...good, key_ops: ['encrypt'] }],
    ['a key of another algorithm', { ...good, alg: 'RS512' }],
    ['a key of another type', { ...keys.ES256.publicKey.export({ format: 'jwk' }), kid: 'k' }],
    ['a key without an id', { ...good, kid: undefined }],
    ['a damaged key', { ...good, n: '!' }],
    ['no object', ['k']],
  ])('for being %s', async (_name, key) => {
    publish({ keys: [null, 7, key, ...jwksOf(keys).keys] })
    expect(await outcome('k')).toBe('unknown')
    expect(await outcome()).toBe('found')
  })

  test('and this one is not', async () => {
    publish({ keys: [good] })
    expect(await outcome('k')).toBe('found')
  })
})

describe('the discovery document', () => {
  const issuer = 'https://issuer.example/tenant/'
  const discover = async (discovery: unknown): Promise<string> => {
    const asked: string[] = []
    const issuerKeys = new IssuerKeys({
      now: () => now,
      fetch: async (url) => {
        asked.push(url)
        return { text: JSON.stringify(url.endsWith('/jwks') ? jwksOf(keys) : discovery) }
      },
    })
    await issuerKeys
      .find('org_a/uid', { discoveryOf: issuer }, keys.RS256.kid, 'RS256')
      .catch((error: unknown) => asked.push(error instanceof ProviderUnavailable ? 'unavailable' : 'unknown'))
    return asked.join(' ')
  }
  const address = 'https://issuer.example/tenant/.well-known/openid-configuration'

  test('says where the keys are', async () => {
    expect(await discover({ issuer, jwks_uri: 'https://keys.example/jwks' })).toBe(
      `${address} https://keys.example/jwks`,
    )
  })

  test.each<[string, unknown]>([
    ['of another issuer', { issuer: 'https://issuer.example/tenant', jwks_uri: 'https://keys.example/jwks' }],
    ['without an issuer', { jwks_uri: 'https://keys.example/jwks' }],
    ['without an address', { issuer }],
    ['with an address that is none', { issuer, jwks_uri: 'keys' }],
    ['that is null', null],
  ])('is not believed when it is one %s', async (_name, discovery) => {
    expect(await discover(discovery)).toBe(`${address} unavailable`)
  })
})
