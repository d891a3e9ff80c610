import { rm } from 'node:fs/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { DemoClient } from '../../standalone/demo/demo-client.ts'
import { sampleKeys } from '../../standalone/samples.ts'
import { Stage } from '../../standalone/demo/stage.ts'
import { eventually } from '../fixtures/eventually.ts'
import { signShared } from '../fixtures/issuer.ts'
import { providerSamples } from '../fixtures/provider-samples.ts'

/** What was exchanged at a provider whose manifest is changed or taken away. */
let stage: Stage
/** Signed in by another provider of the organization. */
let stranger: DemoClient

const jwtSecret = 'super-secret-jwt-token-with-at-least-32-characters'
const file = 'login.yaml'
const manifest = (more = ''): string => `apiVersion: cloudsignal.app/v1alpha1
kind: IdentityProvider
metadata: { name: login }
spec:
  organizationRef: { name: acme }
  type: oidc
  oidc: { issuer: "${stage.issuer.issuer}", audience: [demo] }
  accessListRefs: [{ name: people }]
${more}`
const legacy = `apiVersion: cloudsignal.app/v1alpha1
kind: IdentityProvider
metadata: { name: legacy }
spec:
  organizationRef: { name: acme }
  type: supabase
  supabase: { url: "https://abcdefghijklmnop.supabase.co", jwtSecretRef: { name: jwt } }
  accessListRefs: [{ name: people }]
`
const secret = `apiVersion: v1
kind: Secret
metadata: { name: jwt }
stringData: { secret: ${jwtSecret} }
`

beforeAll(async () => {
  stage = await Stage.set()
  stranger = await stage.connect(await stage.signIn('stranger'), 'tls', 5)
})
afterAll(() => stage.strike())

const write = (name: string, text: string): Promise<void> => stage.edit(name, () => text)
const remove = (name: string): Promise<void> => rm(stage.manifest(name))
const said = (line: string): Promise<unknown> =>
  eventually(`it says: ${line}`, () => stage.said.some((each) => each.includes(line)))
/** A token of this second may be of before the barrier. */
const signInAgain = (provider: string): Promise<DemoClient> =>
  eventually('a new token is exchanged', async () => {
    const answer = await stage.exchange(await stage.issuer.tokenFor('alice'), { provider })
    return answer.status === 200
      ? await stage.connect(answer.body as unknown as Parameters<Stage['connect']>[0], 'tls', 5)
      : undefined
  })

describe('what was exchanged at a provider of a manifest', () => {
  let alice: DemoClient
  let token: string
  beforeEach(async () => {
    await write(file, manifest())
    alice = await signInAgain('login')
    token = await stage.issuer.tokenFor('alice')
  })

  test('ends when the manifest is taken away, and again when one of that name came and went', async () => {
    await remove(file)
    await eventually('her connection is closed', () => alice.isClosed)
    expect((await stage.exchange(token, { provider: 'login' })).code).toBe('provider_not_found')
    await write(file, manifest())
    alice = await signInAgain('login')
    expect(alice.isClosed).toBe(false)
    await remove(file)
    await eventually('her connection is closed', () => alice.isClosed)
    expect(stranger.isClosed).toBe(false)
  })

  test('ends when it is suspended, and does not come back', async () => {
    await write(file, manifest('  suspended: true\n'))
    await eventually('her connection is closed', () => alice.isClosed)
    expect((await stage.exchange(token, { provider: 'login' })).code).toBe('provider_suspended')
    await write(file, manifest())
    await eventually('it is open again', async () => {
      return (await stage.exchange(token, { provider: 'login' })).code === 'token_revoked'
    })
    expect(stranger.isClosed).toBe(false)
  })

  test('ends when less is accepted, so that the same token is judged anew', async () => {
    await write(file, manifest(`  boundClaims: [{ claim: /iss, values: ["${stage.issuer.issuer}"] }]\n`))
    await eventually('her connection is closed', () => alice.isClosed)
    expect((await stage.exchange(token, { provider: 'login' })).status).toBe(200)
    expect(stranger.isClosed).toBe(false)
  })
})

test('what an API key made ends when its manifest is taken away, and who signed in with it stays', async () => {
  const keys = `apiVersion: cloudsignal.app/v1alpha1
kind: ApiKey
metadata: { name: robots }
spec:
  organizationRef: { name: acme }
  type: secret
  scopes: [exchange, tokens:create]
  accessListRefs: [{ name: people }]
`
  await write('robots.yaml', keys)
  const key = await eventually('the key is there', async () => {
    const found = await sampleKeys(stage.standalone.host)
    return found.find(({ resource }) => resource.metadata.name === 'robots')?.secret
  })
  type Credential = Parameters<Stage['connect']>[0]
  const made = await fetch(`http://127.0.0.1:${stage.standalone.ports.http}/v1/tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ kind: 'worker', name: 'billing' }),
  })
  const worker = await stage.connect((await made.json()) as Credential, 'tls', 5)
  const token = await stage.issuer.tokenFor('dora')
  const signedIn = (await stage.exchange(token, { key })).body as unknown as Credential
  const dora = await stage.connect(signedIn, 'wss', 4)
  await remove('robots.yaml')
  await eventually('the worker is closed', () => worker.isClosed)
  expect((await stage.exchange(token, { key })).code).toBe('invalid_api_key')
  expect([dora.isClosed, stranger.isClosed]).toEqual([false, false])
})

test('what was exchanged lives on while a Secret is missing', async () => {
  await write('legacy.yaml', legacy)
  await write('jwt.yaml', secret)
  await said('IdentityProvider default/legacy is ready')
  const claims = providerSamples.supabase.claims(Math.floor(Date.now() / 1000))
  const token = await signShared(jwtSecret, claims)
  const { status, body } = await stage.exchange(token, { provider: 'legacy' })
  expect(status).toBe(200)
  const carol = await stage.connect(body as unknown as Parameters<Stage['connect']>[0], 'tls', 5)
  await remove('jwt.yaml')
  await said('IdentityProvider default/legacy is not ready: SecretNotFound')
  expect((await stage.exchange(token, { provider: 'legacy' })).code).toBe('provider_unavailable')
  expect(carol.isClosed).toBe(false)
  await remove('legacy.yaml')
  await eventually('the connection is closed', () => carol.isClosed)
  expect(stranger.isClosed).toBe(false)
})
