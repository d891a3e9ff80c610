import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { silentLog } from '#core/process/logger.ts'
import { providerTypes, type ProviderType } from '#core/resources/identity-provider.ts'
import { connectToStandalone } from '../fixtures/standalone-client.ts'
import { sampleKeys } from '../../standalone/samples.ts'
import { type Standalone, startStandalone } from '../../standalone/standalone.ts'
import type { JsonObject } from '../../token-service/verifier/compact-token.ts'
import { forgeToken, jwksOf, newSigningKeys, signShared, signWith } from '../fixtures/issuer.ts'
import { listenLocally, type LocalServer } from '../fixtures/local-server.ts'
import { apiKeys, managementClient, type ProviderApi, startProviderApi } from '../fixtures/provider-api.ts'
import { providerSamples } from '../fixtures/provider-samples.ts'
import { genuineKeys } from '../fixtures/token-forgeries.ts'
import { shell } from './shell.ts'
import { blockOf, type PageBlock, readPage } from './page-blocks.ts'

/**
 * The pages about providers as somebody would follow them. Their manifests are used word for word, and their commands
 * are run; the hosts that these name are the loopback here.
 */
let root: string
let standalone: Standalone
let api: ProviderApi
let sandbox: LocalServer
let apiKey: string
/** What the sandbox gives to whoever signs in. */
let signedIn = ''

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'cloudsignal-providers-'))
  const manifests = join(root, 'manifests')
  await cp(fileURLToPath(new URL('../../examples', import.meta.url)), manifests, { recursive: true })
  await rm(join(manifests, '3-identity-provider.yaml'))
  for (const type of providerTypes) {
    await writeFile(
      join(manifests, `${type}.yaml`),
      blockOf((await readPage(`providers/${type}.md`)).blocks, 'yaml'),
    )
  }
  api = await startProviderApi()
  for (const type of providerTypes) {
    await writeVariant(manifests, type, { block: 'live check', as: `${type}-checked`, key: apiKeys[type] })
  }
  const key = JSON.stringify(managementClient)
  await writeVariant(manifests, 'auth0', { block: 'blocked', as: 'auth0-blocked', key })
  const legacy = blockOf((await readPage('providers/supabase.md')).blocks, 'legacy')
  await writeFile(join(manifests, 'supabase-legacy.yaml'), legacy)
  standalone = await startStandalone({
    manifests,
    state: join(root, 'state'),
    host: '127.0.0.1',
    ports: { mqtts: 0, wss: 0, http: 0, probes: 0 },
    log: silentLog,
    fetchDocument: async (url) => ({ text: JSON.stringify(documentAt(url)) }),
    askProvider: api.ask,
  })
  apiKey = (await sampleKeys(standalone.host))[0]?.secret ?? ''
  sandbox = await startSandbox()
})
afterAll(async () => {
  await standalone.close()
  await sandbox.close()
  await api.close()
  await rm(root, { recursive: true, force: true })
})

function documentAt(url: string): object {
  const issuer = url.replace('/.well-known/openid-configuration', '')
  return issuer === url
    ? jwksOf(genuineKeys)
    : { issuer, jwks_uri: `${issuer}/jwks`, userinfo_endpoint: `${issuer}/userinfo` }
}

/** The page's provider once more, under another name, with what the page adds to it in the blocks of this name. */
async function writeVariant(
  manifests: string,
  type: ProviderType,
  { block, as, key }: { readonly block: string; readonly as: string; readonly key: string | undefined },
): Promise<void> {
  const { blocks } = await readPage(`providers/${type}.md`)
  const provider = parse(blockOf(blocks, 'yaml')) as { metadata: object; spec: object }
  const added = parse(named(blocks, 'yaml', block)) as { spec: object }
  const files: object[] = [{ ...provider, metadata: { name: as }, spec: { ...provider.spec, ...added.spec } }]
  if (key !== undefined) {
    const [, name = '', field = ''] =
      /^kubectl create secret generic (\S+)\s(?:.*\s)?\s*--from-literal=(\w+)=["'].*["']$/s.exec(
        named(blocks, 'sh', block).trim(),
      ) ?? []
    files.push({ apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData: { [field]: key } })
  }
  const text = files.map((file) => JSON.stringify(file)).join('\n---\n')
  await writeFile(join(manifests, `${as}.yaml`), text)
}

function named(blocks: readonly PageBlock[], language: string, name: string): string {
  return blocks.find((block) => block.language === language && block.name === name)?.text ?? ''
}

/** Every provider's own API, as far as the pages call it. */
async function startSandbox(): Promise<LocalServer> {
  const server = createServer((request, response) => {
    const isDiscovery = request.url?.endsWith('openid-configuration') === true
    const answer = isDiscovery
      ? { issuer: 'https://issuer.example.com' }
      : { access_token: signedIn, id_token: signedIn, idToken: signedIn }
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
  })
  return listenLocally(server)
}

/** A wrong token, made of the good one; the page says what the answer is. */
type Mistake = {
  readonly claims?: JsonObject
  readonly header?: JsonObject
  /** In place of a token that the provider signed. */
  readonly token?: (header: JsonObject, claims: JsonObject) => string | Promise<string>
}
const past = Math.floor(Date.now() / 1000) - 7_200
const expired: Mistake = { claims: { iat: past, exp: past + 60, nbf: past, auth_time: past } }
const foreign = newSigningKeys()
const byLegacySecret: Mistake = {
  token: (header, claims) => forgeToken({ ...header, alg: 'HS256' }, claims),
}
const byUnpublishedKey: Mistake = {
  token: (header, claims) => signWith(foreign, claims, { header: { ...header, kid: foreign.RS256.kid } }),
}

const mistakes: { readonly [Type in ProviderType]: Readonly<Record<string, readonly Mistake[]>> } = {
  supabase: {
    issuer_mismatch: [
      { claims: { iss: 'https://another.supabase.co/auth/v1' } },
      { claims: { iss: 'supabase', role: 'anon', sub: undefined } },
    ],
    token_header_not_allowed: [byLegacySecret],
    unknown_key: [byUnpublishedKey],
    audience_mismatch: [{ claims: { aud: 'd3b0a5f0-0000-4000-8000-000000000000' } }],
    token_type_not_allowed: [
      { claims: { is_anonymous: true } },
      { claims: { role: 'anon' } },
      { claims: { client_id: 'x' } },
    ],
    token_expired: [expired],
  },
  firebase: {
    issuer_mismatch: [
      { claims: { iss: 'https://securetoken.google.com/other' } },
      { claims: { iss: 'https://session.firebase.google.com/my-app-1234' } },
    ],
    audience_mismatch: [{ claims: { aud: 'https://identitytoolkit.googleapis.com/google.identity' } }],
    unsupported_token_format: [
      { token: (_header, claims) => forgeToken({ alg: 'none', typ: 'JWT' }, claims, '') },
    ],
    claim_mismatch: [{ claims: { firebase: { sign_in_provider: 'password', tenant: 'blue' } } }],
    token_type_not_allowed: [{ claims: { firebase: { sign_in_provider: 'anonymous' } } }],
    token_expired: [expired],
  },
  auth0: {
    unsupported_token_format: [
      { token: () => 'v2.opaque' },
      { token: () => 'eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..aXY.Y3Q.dGFn' },
    ],
    issuer_mismatch: [
      { claims: { iss: 'https://acme.eu.auth0.com' } },
      { claims: { iss: 'https://login.acme.example/' } },
    ],
    audience_mismatch: [
      { claims: { aud: 'cLiEnT0123456789' } },
      { claims: { aud: 'https://other.example' } },
    ],
    token_header_not_allowed: [byLegacySecret],
    token_type_not_allowed: [{ claims: { gty: 'client-credentials', sub: 'x@clients' } }],
    token_expired: [expired],
  },
  clerk: {
    token_expired: [expired],
    issuer_mismatch: [{ claims: { iss: 'https://good-cat-7.clerk.accounts.dev' } }],
    claim_mismatch: [{ claims: { azp: 'https://other.example' } }, { claims: { azp: undefined } }],
    token_type_not_allowed: [
      { claims: { sid: undefined } },
      { claims: { sub: 'mch_1' } },
      { claims: { sts: 'pending' } },
    ],
  },
  oidc: {
    issuer_mismatch: [
      { claims: { iss: 'https://issuer.example.com/' } },
      { claims: { iss: 'http://issuer.example.com' } },
    ],
    audience_mismatch: [{ claims: { aud: 'other' } }],
    claim_mismatch: [{ claims: { roles: ['guest'] } }, { claims: { exp: undefined } }],
    token_header_not_allowed: [{ header: { kid: undefined } }, byLegacySecret],
    unknown_key: [byUnpublishedKey],
    token_type_not_allowed: [{ claims: { gty: 'client-credentials' } }, { header: { typ: 'logout+jwt' } }],
    token_expired: [expired],
  },
}

describe.each(providerTypes)('the page about %s', (type) => {
  const claimsOf = (): JsonObject => ({
    ...providerSamples[type].claims(Math.floor(Date.now() / 1000)),
    // Of the oidc page's boundClaims.
    roles: ['mqtt'],
  })
  const header = { alg: 'RS256', kid: genuineKeys.RS256.kid, ...providerSamples[type].header }

  test('has a manifest for the tokens that the provider really issues', async () => {
    const { blocks } = await readPage(`providers/${type}.md`)
    const { spec } = parse(blockOf(blocks, 'yaml')) as { spec: Record<string, object> }
    const { jwksUri: _, ...settings } = { jwksUri: '', ...providerSamples[type].settings }
    expect(spec[type]).toEqual(settings)
  })

  test('leads from a sign-in to an MQTT connection, by the commands that it shows', async () => {
    const { blocks } = await readPage(`providers/${type}.md`)
    signedIn = await signWith(genuineKeys, claimsOf(), { header })
    const steps = blocks.filter(
      ({ language, name }) => language === 'sh' && !['exchange', 'live check', 'blocked'].includes(name),
    )
    const answer = await run([...steps, { text: blockOf(blocks, 'exchange') }].map(({ text }) => text))
    const { user_id: userId } = answer
    expect(answer).toMatchObject({ user_id: claimsOf()['sub'], password: expect.stringMatching(/^cs_mp_/) })
    const client = await connectToStandalone(standalone, answer)
    expect(await client.subscribe(`users/${String(userId)}/#`)).toBeUndefined()
    client.close()
  })

  test('has a live check that refuses whoever is gone', async () => {
    const command = blockOf((await readPage(`providers/${type}.md`)).blocks, 'exchange')
    const checked = command.replace(`\\"${type}\\"`, `\\"${type}-checked\\"`)
    const token = async (jti: string): Promise<string> =>
      signWith(genuineKeys, { ...claimsOf(), jti }, { header })
    expect(await run([checked], await token('1'))).toMatchObject({ user_id: claimsOf()['sub'] })
    api.ended.add(String(claimsOf()['sub']))
    expect(await run([checked], await token('2'))).toMatchObject({ code: 'session_ended' })
    expect(await run([command], await token('2'))).toMatchObject({ user_id: claimsOf()['sub'] })
  })

  test('says what is wrong, mistake by mistake', async () => {
    const { text, blocks } = await readPage(`providers/${type}.md`)
    const named = [...text.matchAll(/^\| `(\w+)` \|/gm)].map(([, code]) => code)
    expect(named).toEqual(Object.keys(mistakes[type]))
    for (const [code, tokens] of Object.entries(mistakes[type])) {
      for (const { claims = {}, header: over = {}, token } of tokens) {
        const all = JSON.parse(JSON.stringify({ ...claimsOf(), ...claims })) as JsonObject
        const made =
          token === undefined
            ? await signWith(genuineKeys, all, { header: { ...header, ...over } })
            : await token(header, all)
        const answer = await run([blockOf(blocks, 'exchange')], made)
        expect(answer['code'], JSON.stringify({ claims, over })).toBe(code)
      }
    }
  })
})

test('the Management API of the page about auth0 tells who is blocked', async () => {
  const { blocks } = await readPage('providers/auth0.md')
  const auth0 = providerSamples.auth0.claims(Math.floor(Date.now() / 1000))
  const command = blockOf(blocks, 'exchange').replace('\\"auth0\\"', '\\"auth0-blocked\\"')
  const token = (jti: string): Promise<string> => signWith(genuineKeys, { ...auth0, jti })
  api.ended.clear()
  expect(await run([command], await token('1'))).toMatchObject({ user_id: auth0['sub'] })
  expect(api.requests.at(-1)).toMatch(/^GET \/api\/v2\/users\//)
  api.ended.add(String(auth0['sub']))
  expect(await run([command], await token('2'))).toMatchObject({ code: 'session_ended' })
})

describe('the legacy secret of the page about supabase', () => {
  const claims = (): JsonObject => providerSamples.supabase.claims(Math.floor(Date.now() / 1000))
  const exchange = async (token: string): Promise<unknown> => {
    const command = blockOf((await readPage('providers/supabase.md')).blocks, 'exchange')
    const answer = await run([command.replace('\\"supabase\\"', '\\"supabase-legacy\\"')], token)
    return answer['user_id'] ?? answer['code']
  }

  test('lets in who has a token by it, and who has one by an asymmetric key', async () => {
    const legacy = blockOf((await readPage('providers/supabase.md')).blocks, 'legacy')
    const secret = /^ {2}secret: (.*)$/m.exec(legacy)?.[1] ?? ''
    expect(await exchange(await signShared(secret, claims()))).toBe(claims()['sub'])
    expect(await exchange(await signWith(genuineKeys, claims()))).toBe(claims()['sub'])
    expect(await exchange(await signShared(`${secret}.`, claims()))).toBe('invalid_signature')
  })
})

async function run(
  commands: readonly string[],
  token = signedIn,
): Promise<Readonly<Record<string, unknown>>> {
  const tokens = `http://127.0.0.1:${standalone.ports.http}`
  const script = commands.join('\n').replaceAll('https://tokens.example.com', tokens)
  const hosts = /https:\/\/[a-z0-9.-]+(?=\/(?:auth|v1|oauth|token|\.well-known))/g
  const output = await shell(script.replaceAll(hosts, sandbox.url), {
    CLOUDSIGNAL_API_KEY: apiKey,
    IDENTITY_TOKEN: token,
  })
  const [last = ''] = output.trim().split('}{').slice(-1)
  return JSON.parse(last.startsWith('{') ? last : `{${last}`) as Readonly<Record<string, unknown>>
}
