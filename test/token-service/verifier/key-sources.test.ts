import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { generate } from 'selfsigned'
import { beforeAll, describe, expect, test } from 'vitest'
import type { ProviderRecord } from '#core/identity/provider-record.ts'
import type { DocumentFetcher } from '../../../token-service/verifier/document-fetcher.ts'
import { IssuerKeys } from '../../../token-service/verifier/issuer-keys.ts'
import { verifyToken } from '../../../token-service/verifier/verify-token.ts'
import { forgeToken, newSigningKeys, signWith } from '../../fixtures/issuer.ts'
import { providerSamples } from '../../fixtures/provider-samples.ts'
import { anOrganizationId, aProvider } from '../../fixtures/records.ts'

const now = 1_800_000_000
const keys = newSigningKeys()
const pem = keys.RS256.publicKey.export({ format: 'pem', type: 'spki' }) as string
const asked: string[] = []

const judge = (token: string, record: ProviderRecord, fetch: DocumentFetcher) => {
  asked.length = 0
  const issuerKeys = new IssuerKeys({
    fetch: (url, limits) => {
      asked.push(url)
      return fetch(url, limits)
    },
    now: () => now * 1000,
  })
  return verifyToken(token, { organization: anOrganizationId, record }, issuerKeys, () => now * 1000)
}
const down: DocumentFetcher = () => Promise.reject(new Error('down'))

describe('a public key in the settings (Clerk)', () => {
  const { settings, claims, header = {} } = providerSamples.clerk
  const record = (publicKey = pem) => aProvider({ type: 'clerk', settings: { ...settings, publicKey } })
  const sign = (options: Parameters<typeof signWith>[2] = {}) =>
    signWith(keys, claims(now), { ...options, header: { ...header, ...options.header } })

  test('judges tokens without a question to anybody, whatever key id they name', async () => {
    const token = await sign({ header: { kid: 'ins_another' } })
    expect(await judge(token, record(), down)).toMatchObject({ subject: 'user_2abcDEF' })
    expect(asked).toEqual([])
  })

  test('refuses what another key signed', async () => {
    const token = await sign({ key: newSigningKeys().RS256.privateKey })
    await expect(judge(token, record(), down)).rejects.toMatchObject({ failure: 'invalid_signature' })
  })

  test.each(['HS256', 'none', 'ES256'])('does not serve alg %s', async (alg) => {
    const token = forgeToken({ alg, typ: 'JWT', kid: 'ins_a', ...header }, claims(now))
    await expect(judge(token, record(), down)).rejects.toMatchObject({ failure: 'token_header_not_allowed' })
  })

  test.each([
    ['that is too short', generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey],
    ['of a curve', keys.ES256.publicKey],
  ])('is of no use when it is one %s', async (_name, key) => {
    const publicKey = key.export({ format: 'pem', type: 'spki' }) as string
    await expect(judge(await sign(), record(publicKey), down)).rejects.toMatchObject({
      code: 'record-damaged',
    })
  })

  test('is never a private one', async () => {
    const secret = keys.RS256.privateKey.export({ format: 'pem', type: 'pkcs8' }) as string
    await expect(judge(await sign(), record(secret), down)).rejects.toMatchObject({ code: 'record-damaged' })
  })
})

describe('X.509 certificates by key id (Firebase)', () => {
  const { settings, claims } = providerSamples.firebase
  const record = aProvider({ type: 'firebase', settings: { ...settings, keyFormat: 'x509' } })
  const kid = randomUUID()
  let certificate: string

  beforeAll(async () => {
    const { publicKey, privateKey } = keys.RS256
    const keyPair = {
      publicKey: publicKey.export({ format: 'pem', type: 'spki' }) as string,
      privateKey: privateKey.export({ format: 'pem', type: 'pkcs8' }) as string,
    }
    certificate = (await generate([{ name: 'commonName', value: 'securetoken' }], { keyPair })).cert
  })
  const online = (document: () => unknown): DocumentFetcher => {
    return async () => ({ text: JSON.stringify(document()) })
  }
  const sign = (header: Record<string, unknown> = { kid }) => signWith(keys, claims(now), { header })

  test('are read from the address that Google documents', async () => {
    const identity = await judge(
      await sign(),
      record,
      online(() => ({ [kid]: certificate })),
    )
    expect(identity.subject).toBe('Zl0Ee5QbYgV3Q0Ykq3nYc0mF1Xs2')
    expect(asked).toEqual([
      'https://www.googleapis.com/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com',
    ])
  })

  test.each(['other', '__proto__', 'constructor'])('do not serve the key id %s', async (other) => {
    const fetch = online(() => ({ [kid]: certificate }))
    await expect(judge(await sign({ kid: other }), record, fetch)).rejects.toMatchObject({
      failure: 'unknown_key',
    })
  })

  test('a certificate that can not be read leaves the others', async () => {
    const fetch = online(() => ({ broken: 'x', number: 7, [kid]: certificate }))
    await expect(judge(await sign(), record, fetch)).resolves.toMatchObject({ email: 'ada@example.com' })
  })

  test.each([
    ['a list', () => []],
    ['too many', () => Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`${n}`, certificate]))],
  ])('%s is no document of them, and no reason to refuse the token', async (_name, document) => {
    await expect(judge(await sign(), record, online(document))).rejects.toMatchObject({
      retryAfterSeconds: 5,
    })
  })
})
