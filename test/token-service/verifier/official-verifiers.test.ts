import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { ProviderType } from '#core/resources/identity-provider.ts'
import { IssuerKeys } from '../../../token-service/verifier/issuer-keys.ts'
import { TokenRefused } from '../../../token-service/verifier/token-refused.ts'
import { verifyToken } from '../../../token-service/verifier/verify-token.ts'
import { jwksOf } from '../../fixtures/issuer.ts'
import { installedPackages } from '../../fixtures/node-packages.ts'
import {
  type OfficialVerifier,
  type OfficialVerifiers,
  startOfficialVerifiers,
} from '../../fixtures/official-verifiers.ts'
import { type ProviderSample, recordOf } from '../../fixtures/provider-sample.ts'
import { moreSamples, providerSamples } from '../../fixtures/provider-samples.ts'
import { anOrganizationId } from '../../fixtures/records.ts'
import { testSealing } from '../../fixtures/sealing.ts'
import { asIssued, tokenCorpus } from '../../fixtures/token-corpus.ts'
import { genuineKeys } from '../../fixtures/token-forgeries.ts'

const now = 1_800_000_000
const directory = await installedPackages('official-verifiers')
let official: OfficialVerifiers
const legacy = moreSamples.find(({ name }) => name === 'supabase with its legacy secret')
  ?.sample as ProviderSample<'supabase'>

describe.skipIf(directory === undefined)('of the same tokens, ours accepts fewer than', () => {
  beforeAll(async () => {
    // For both the clock stands still: how long either takes decides nothing.
    vi.useFakeTimers({ toFake: ['Date'], now: now * 1000 })
    official = await startOfficialVerifiers(directory ?? '', genuineKeys, legacy.sharedSecret ?? '')
  })
  afterAll(async () => {
    vi.useRealTimers()
    await official.close()
  })

  test('supabase-js', () =>
    compare('supabase', [
      'with another issuer',
      'with another audience',
      'with no iat',
      'with an nbf in the future',
      'the role anon',
      'with set bits after the signature',
    ]))

  test('supabase-js, of a project with its legacy secret', () =>
    compare('supabase', ['with another issuer', 'with no iat', 'the role anon'], legacy))

  test('firebase-admin', () =>
    compare('firebase', [
      'with an iat in the future',
      'no auth_time',
      'a user of a tenant',
      'with a key in the header',
    ]))

  test('express-oauth2-jwt-bearer of Auth0', () =>
    compare('auth0', [
      'with an iat in the future',
      'with a life of more than 30 days',
      'an ID token whose client id is the audience',
      'with a key in the header',
    ]))

  test('@clerk/backend', () =>
    compare('clerk', [
      'a pending session',
      'a token of a JWT template',
      'with jku in the header',
      'a machine as subject',
    ]))

  test('jose', () => compare('oidc', ['with no exp', 'with exp 1e300', 'with an iat in the future']))
})

async function compare<Type extends ProviderType>(
  type: Type,
  stricterWith: readonly string[],
  sample: ProviderSample<Type> = providerSamples[type],
): Promise<void> {
  const theirs: OfficialVerifier = official.of[type](sample.settings)
  const random = Number(process.env['CLOUDSIGNAL_TEST_RANDOM_TOKENS'] ?? 300)
  const corpus = await tokenCorpus(sample, { now, seed: 20_261_125, random })
  const accepted = { both: [] as string[], onlyOurs: [] as string[], onlyTheirs: [] as string[] }
  for (const [name, token] of corpus) {
    const [isOurs, isTheirs] = [await isAcceptedByUs(token, type, sample), await isAccepted(theirs, token)]
    if (isOurs && isTheirs) accepted.both.push(name)
    else if (isOurs) accepted.onlyOurs.push(name)
    else if (isTheirs) accepted.onlyTheirs.push(name)
  }
  const issued = sample.alsoIssued?.map(({ name }) => name) ?? []
  expect(accepted.both).toEqual(expect.arrayContaining([asIssued, ...issued]))
  // Chance makes good tokens too, or it would compare nothing.
  expect(accepted.both.length).toBeGreaterThan(random / 50)
  expect(accepted.onlyOurs).toEqual([])
  expect(accepted.onlyTheirs).toEqual(expect.arrayContaining([...stricterWith]))
}

/** As loosely as an organization can set it. */
async function isAcceptedByUs<Type extends ProviderType>(
  token: string,
  type: Type,
  sample: ProviderSample<Type>,
): Promise<boolean> {
  const record = recordOf(type, sample, { allowAnonymous: true, allowMachine: true })
  const keys = new IssuerKeys({
    fetch: async () => ({ text: JSON.stringify(jwksOf(genuineKeys)) }),
    now: Date.now,
    sealing: testSealing,
  })
  try {
    await verifyToken(token, { organization: anOrganizationId, record }, keys, Date.now)
    return true
  } catch (error) {
    if (error instanceof TokenRefused) return false
    throw error
  }
}

const isAccepted = (verify: OfficialVerifier, token: string): Promise<boolean> =>
  verify(token).then(
    () => true,
    () => false,
  )
