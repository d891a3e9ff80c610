import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { generateSecret } from '#core/credentials/secret.ts'
import { checkResource } from '#core/resources/check-resource.ts'
import { parseCompactToken } from '../../../token-service/verifier/compact-token.ts'
import { forgeToken } from '../../fixtures/issuer.ts'
import { anApiKey, anOrganizationId, anotherOrganizationId } from '../../fixtures/records.ts'
import { addOrganization, type AppUnderTest, aProviderOf, claimsOf, startApp } from '../app-under-test.ts'
import { pitfalls, unkept } from './pitfalls.ts'

const read = (file: string): string => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')

describe('the rules for verifiers of identity tokens', () => {
  test('are kept by tests that are there', () => {
    expect(unkept(pitfalls, read)).toEqual([])
    expect(new Set(pitfalls.map(({ rule }) => rule)).size).toBe(pitfalls.length)
  })

  test('would be missed without them', () => {
    const source = `test('is there', () => {})`
    const rules = [
      { rule: 'kept', tests: { a: ['is there'] } },
      { rule: 'renamed', tests: { a: ['is there', 'was there'] } },
      { rule: 'new', tests: {} },
    ]
    expect(unkept(rules, () => source)).toEqual(['renamed: a has no "was there"', 'new: no test'])
  })
})

describe('what no other test says:', () => {
  let service: AppUnderTest
  beforeEach(async () => {
    service = await startApp()
  })
  afterEach(() => service.close())

  test('a name that stands twice in a header is refused', () => {
    const [, claims = '', signature = ''] = forgeToken({}, { sub: 'ada' }).split('.')
    const header = Buffer.from('{"alg":"none","kid":"k","alg":"RS256"}').toString('base64url')
    expect(() => parseCompactToken(`${header}.${claims}.${signature}`)).toThrow('says something twice')
    const fine = Buffer.from('{"alg":"RS256","kid":"alg","x":{"alg":[{"alg":1},{"alg":2}]}}').toString(
      'base64url',
    )
    expect(parseCompactToken(`${fine}.${claims}.${signature}`).header.kid).toBe('alg')
  })

  test('a claim __proto__ gives nobody anything', async () => {
    const attributes = [{ name: 'role', claim: '/role' }]
    const record = { ...aProviderOf(service.issuer), attributes }
    await service.identities.put('provider', anOrganizationId, 'oidc', record)
    // As a member of its own, which only JSON.parse makes.
    const claims = JSON.parse(`{"__proto__":{"role":"admin"}}`) as Record<string, unknown>
    const answer = await service.exchange({ token: await service.token(claims) })
    const stored = await service.credentials.get(anOrganizationId, String(answer.body['id']))
    expect(stored?.attributes).toEqual({ user_id: 'ada', provider: 'oidc' })
  })

  test('a key id reaches neither an address nor a store', async () => {
    const before = [...service.issuer.requests.keys()]
    const changes = service.control.length
    for (const kid of ['../../admin', 'k?x=1', 'a\r\nb', '*', 'cs:{all}:control']) {
      const token = await service.issuer.sign(claimsOf(service.issuer, service.now()), { header: { kid } })
      expect((await service.exchange({ token })).body['code']).toBe('unknown_key')
    }
    const asked = [...service.issuer.requests.keys()].filter((path) => !before.includes(path))
    expect(asked.toSorted()).toEqual(['/.well-known/openid-configuration', '/jwks'])
    expect(service.control).toHaveLength(changes)
  })

  test('none of the libraries that took one token for another is installed', () => {
    const lock = JSON.parse(read('../package-lock.json')) as { readonly packages: object }
    const names = Object.keys(lock.packages).map((path) => path.replace(/^.*node_modules\//, ''))
    expect(names).toContain('jose')
    for (const name of ['fast-jwt', '@fastify/jwt', 'jsonwebtoken']) expect(names).not.toContain(name)
  })

  test('nobody that a token names is asked anything', async () => {
    const asked: string[] = []
    const evil = createServer((request, response) => {
      asked.push(request.url ?? '')
      response.end('{}')
    })
    await new Promise<void>((resolve) => evil.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(evil.address() as AddressInfo).port}`
    const { issuer } = service
    const claims = claimsOf(issuer, service.now())
    const named = { iss: url, aud: url, jwks_uri: `${url}/jwks`, sub: url, azp: url }
    const tokens = [
      await issuer.sign({ ...claims, iss: url }),
      await issuer.sign({ ...claims, ...named }),
      await issuer.sign({ ...claims, ...named, iss: issuer.url }),
      await issuer.sign(claims, { header: { jku: `${url}/jwks`, x5u: `${url}/x` } }),
      await issuer.sign(claims, { header: { kid: `${url}/key` } }),
    ]
    for (const token of tokens) {
      expect((await service.exchange({ token })).status).toBe(401)
      const body = { organization_id: anOrganizationId, token }
      expect((await service.post('/v2/tokens/exchange', body)).status).toBeGreaterThanOrEqual(400)
    }
    expect(asked).toEqual([])
    await new Promise((resolve) => evil.close(resolve))
  })

  test('a person of one issuer is two in two organizations', async () => {
    const foreignKey = generateSecret('sk')
    const { identities, issuer, credentials } = service
    await addOrganization(identities, anotherOrganizationId)
    await identities.put('provider', anotherOrganizationId, 'oidc', aProviderOf(issuer))
    const record = anApiKey('backend', foreignKey, {}, anotherOrganizationId)
    await identities.put('api-key', anotherOrganizationId, 'backend', record)
    const token = await service.token()
    const [here, there] = [await service.exchange({ token }), await service.exchange({ token }, foreignKey)]
    expect([here.body['organization'], there.body['organization']]).toEqual([
      anOrganizationId,
      anotherOrganizationId,
    ])
    await service.post('/v1/revocations', { user_id: 'ada' })
    expect(await credentials.get(anOrganizationId, String(here.body['id']))).toBeUndefined()
    expect(await credentials.get(anotherOrganizationId, String(there.body['id']))).toBeDefined()
    expect((await service.exchange({ token }, foreignKey)).status).toBe(200)
    expect((await service.exchange({ token })).body['code']).toBe('token_revoked')
  })

  test('what was exchanged at a provider ends with it, and one that was deleted can still be revoked', async () => {
    const answer = await service.exchange({ token: await service.token() })
    const id = String(answer.body['id'])
    expect(await service.credentials.get(anOrganizationId, id)).toBeDefined()
    await service.identities.remove('provider', anOrganizationId, 'oidc')
    expect(await service.credentials.get(anOrganizationId, id)).toBeUndefined()
    expect((await service.post('/v1/revocations', { provider: 'oidc' })).status).toBe(200)
  })

  const problemsOf = (spec: object): readonly string[] => {
    const { problems = [] } = checkResource({
      apiVersion: 'cloudsignal.app/v1alpha1',
      kind: 'IdentityProvider',
      metadata: { name: 'login' },
      spec: { organizationRef: { name: 'acme' }, ...spec },
    })
    return problems.map(({ field }) => field)
  }

  test('an audience is compulsory for Auth0, and it is not empty', () => {
    const issuers = ['https://acme.eu.auth0.com/']
    const auth0 = (over: object) => problemsOf({ type: 'auth0', auth0: { issuers, ...over } })
    expect(auth0({ audience: ['https://api.acme.example'] })).toEqual([])
    expect(auth0({})).toEqual(['spec.auth0.audience'])
    expect(auth0({ audience: [] })).toEqual(['spec.auth0.audience'])
    expect(auth0({ audience: [''] })).toEqual(['spec.auth0.audience[0]'])
  })

  test('an address of an issuer has no query, no fragment and no user', () => {
    const oidc = (issuer: string): unknown =>
      problemsOf({ type: 'oidc', oidc: { issuer, audience: ['app'] } })
    expect(oidc('https://issuer.example/tenant')).toEqual([])
    for (const end of ['?a=b', '#a', ' ']) {
      expect(oidc(`https://issuer.example${end}`)).toEqual(['spec.oidc.issuer'])
    }
    expect(oidc('https://user:x@issuer.example')).toEqual(['spec.oidc.issuer'])
  })
})
