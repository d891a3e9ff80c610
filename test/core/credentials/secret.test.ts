import { describe, expect, test } from 'vitest'
import { apiKeyLookup, generateSecret, secretKindOf } from '#core/credentials/secret.ts'
import {
  dummyVerifier,
  type Verifier,
  verifierOfChosen,
  verifierOfGenerated,
  verifySecret,
} from '#core/credentials/verifier.ts'

describe('a generated secret', () => {
  test.each(['mp', 'sk', 'pk'] as const)('of kind %s is told by its pattern and its checksum', (kind) => {
    const secret = generateSecret(kind)
    expect(secret).toMatch(new RegExp(`^cs_${kind}_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}$`))
    expect(secretKindOf(secret)).toBe(kind)
    expect(generateSecret(kind)).not.toBe(secret)
  })

  test('with one character changed is none', () => {
    const secret = generateSecret('mp')
    for (let index = 0; index < secret.length; index += 1) {
      const other = secret[index] === 'A' ? 'B' : 'A'
      expect(secretKindOf(secret.slice(0, index) + other + secret.slice(index + 1))).toBeUndefined()
    }
    for (const text of ['', ` ${secret}`, `${secret}\n`, secret.slice(0, -1)]) {
      expect(secretKindOf(text)).toBeUndefined()
    }
  })

  test('is looked up by a digest that is not its verifier', () => {
    const secret = generateSecret('sk')
    const verifier = verifierOfGenerated(secret, { kind: 'api-key', name: 'x' })
    expect(apiKeyLookup(secret)).not.toBe(verifier.digest)
    expect(apiKeyLookup(secret)).toBe(apiKeyLookup(secret))
  })
})

describe('a verifier', () => {
  const binding = { kind: 'user', name: 'ada@org_k7xm4pqr2n5t' } as const

  test('of a generated secret accepts it, for that user and kind only', async () => {
    const verifier = verifierOfGenerated('secret', binding)
    expect(await verifySecret('secret', verifier, binding)).toBe(true)
    expect(await verifySecret('other', verifier, binding)).toBe(false)
    expect(await verifySecret('secret', verifier, { ...binding, name: 'bob@org_k7xm4pqr2n5t' })).toBe(false)
    expect(await verifySecret('secret', verifier, { ...binding, kind: 'temporary' })).toBe(false)
  })

  test('of a chosen password accepts it, and differs each time it is made', async () => {
    const [one, two] = [await verifierOfChosen('pässword'), await verifierOfChosen('pässword')]
    expect(one).not.toEqual(two)
    expect(await verifySecret('pässword', one, binding)).toBe(true)
    expect(await verifySecret('password', one, binding)).toBe(false)
    expect(JSON.stringify(one)).not.toContain('pässword')
  })

  test('that is damaged accepts nothing', async () => {
    const damaged: Verifier[] = [
      { algorithm: 'sha256', digest: '' },
      { algorithm: 'sha256', digest: '!!' },
      { algorithm: 'scrypt', cost: 16_384, salt: '', digest: '' },
      // No power of two; a gigabyte of memory.
      { algorithm: 'scrypt', cost: 1_000, salt: 'c2FsdA', digest: 'A'.repeat(43) },
      { algorithm: 'scrypt', cost: 1_048_576, salt: 'c2FsdA', digest: 'A'.repeat(43) },
    ]
    for (const verifier of damaged) expect(await verifySecret('', verifier, binding)).toBe(false)
  })

  test('for nobody accepts nothing', async () => {
    expect(await verifySecret('', dummyVerifier, binding)).toBe(false)
  })
})
