import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { guardedFetch } from '../../token-service/verifier/guarded-fetch.ts'
import { type Issuer, jwksOf, newSigningKeys, startIssuer } from '../fixtures/issuer.ts'
import { anOrganizationId } from '../fixtures/records.ts'
import { type Answer, type AppUnderTest, aProviderOf, claimsOf, startApp } from './app-under-test.ts'

/** Issuers over HTTP that are in trouble, or are trouble: seen by who exchanges. */
let service: AppUnderTest
let healthy: Issuer
const timeoutMs = 200

beforeEach(async () => {
  const fetch = guardedFetch({ allowPrivateIssuers: true })
  service = await startApp({ fetchDocument: (url, limits) => fetch(url, { ...limits, timeoutMs }) })
  healthy = await startIssuer()
  await service.identities.put('provider', anOrganizationId, 'healthy', aProviderOf(healthy))
  // Its keys are known, and nothing is asked for any more.
  await byHealthy()
})
afterEach(async () => {
  await service.close()
  await healthy.close()
})

const exchange = async (): Promise<Answer> =>
  service.exchange({ provider: 'oidc', token: await service.token() })
const byHealthy = async (): Promise<Answer> =>
  service.exchange({ provider: 'healthy', token: await healthy.sign(claimsOf(healthy, service.now())) })

/** Discovery is as it should be; what is at `/jwks` is not. */
function keysAnswer(answer: (response: ServerResponse) => unknown): void {
  const { url } = service.issuer
  service.issuer.answerWith((request, response) => {
    if (request.url === '/jwks') return void answer(response)
    response.end(JSON.stringify({ issuer: url, jwks_uri: `${url}/jwks` }))
  })
}

const manyKeys = (count: number): string =>
  JSON.stringify({
    keys: Array.from({ length: count }, (_, index) => ({
      ...jwksOf(service.issuer.keys).keys[0],
      kid: `k${index}`,
    })),
  })

describe('the keys can not be had, and nobody else feels it, where the issuer', () => {
  test.each<[string, (response: ServerResponse) => unknown]>([
    ['never answers', () => {}],
    ['drips', (response) => void setInterval(() => response.write(' '), 20).unref()],
    ['hangs up', (response) => response.destroy()],
    ['answers with an error', (response) => response.writeHead(500).end('{"keys":[]}')],
    ['answers with a page', (response) => response.end('<!doctype html>')],
    ['answers with nothing', (response) => response.end()],
    ['publishes a megabyte', (response) => response.end(`{"keys":[],"x":"${'x'.repeat(1 << 20)}"}`)],
    ['publishes hundreds of keys', (response) => response.end(manyKeys(400))],
    ['publishes more keys than are read', (response) => response.end(manyKeys(51))],
    ['compresses', (response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('\u001f\u008b')],
    [
      'redirects to where they are',
      (response) => response.writeHead(302, { location: healthy.jwksUri }).end(),
    ],
    [
      'redirects for good',
      (response) => response.writeHead(308, { location: 'http://169.254.169.254/latest/meta-data' }).end(),
    ],
  ])('%s', async (_name, answer) => {
    keysAnswer(answer)
    const asked = healthy.requests.get('/jwks')
    const started = performance.now()
    const [refused, other] = await Promise.all([exchange(), byHealthy()])
    expect(performance.now() - started).toBeLessThan(timeoutMs + 700)
    expect(refused).toMatchObject({ status: 503, body: { code: 'provider_unavailable' } })
    expect(refused.headers['retry-after']).toBe('5')
    expect(refused.text).not.toContain('127.0.0.1')
    expect(other.status).toBe(200)
    expect(healthy.requests.get('/jwks')).toBe(asked)

    // Once it is well again, so are its users.
    service.issuer.answerWith(undefined)
    service.pass(5_000)
    expect((await exchange()).status).toBe(200)
  })
})

describe('an issuer that is slow', () => {
  test('is asked once by all who wait for it', async () => {
    const release = service.issuer.hold()
    const waiting = Promise.all(Array.from({ length: 20 }, exchange))
    expect((await byHealthy()).status).toBe(200)
    setTimeout(release, timeoutMs / 4)
    expect((await waiting).map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200))
    expect(service.issuer.requests.get('/jwks')).toBe(1)
  })
})

describe('an issuer that rotates', () => {
  test('may publish the new key beside the old one: both are good meanwhile, then one', async () => {
    const { issuer } = service
    const [former, next] = [issuer.keys, newSigningKeys()]
    const published = { keys: [...jwksOf(former).keys, ...jwksOf(next).keys] }
    keysAnswer((response) => response.end(JSON.stringify(published)))
    const claims = claimsOf(issuer, service.now())
    const byNext = { header: { kid: next.RS256.kid }, key: next.RS256.privateKey }
    const answers = [await issuer.sign(claims), await issuer.sign(claims, byNext)]
    for (const token of answers)
      expect((await service.exchange({ provider: 'oidc', token })).status).toBe(200)

    keysAnswer((response) => response.end(JSON.stringify(jwksOf(next))))
    service.pass(11 * 60_000)
    const later = claimsOf(issuer, service.now())
    const old = await service.exchange({ provider: 'oidc', token: await issuer.sign(later) })
    // What it has is served while it is asked again, once.
    expect([200, 401]).toContain(old.status)
    await expect
      .poll(
        async () =>
          (await service.exchange({ provider: 'oidc', token: await issuer.sign(later) })).body['code'],
      )
      .toBe('unknown_key')
    expect(
      (await service.exchange({ provider: 'oidc', token: await issuer.sign(later, byNext) })).status,
    ).toBe(200)
  })
})

describe('an issuer that points inside', () => {
  let inside: Server
  let reached: string[]
  beforeEach(async () => {
    reached = []
    inside = createServer((request, response) => {
      reached.push(request.url ?? '')
      response.end(JSON.stringify(jwksOf(service.issuer.keys)))
    })
    await new Promise<void>((resolve) => inside.listen(0, '127.0.0.1', resolve))
  })
  afterEach(() => new Promise((resolve) => inside.close(() => resolve(undefined))))

  test.each([
    ['by its discovery document', (port: number) => `http://127.0.0.1:${port}/jwks`],
    ['by a name', (port: number) => `http://localhost:${port}/jwks`],
    ['by https', (port: number) => `https://127.0.0.1:${port}/jwks`],
    ['at the metadata of the cloud', () => 'https://169.254.169.254/latest/meta-data/'],
    ['at a file', () => 'file:///etc/passwd'],
  ])('%s is not followed', async (_name, target) => {
    await service.close()
    const guarded = guardedFetch({ allowPrivateIssuers: false })
    const { port } = inside.address() as AddressInfo
    service = await startApp({
      // The discovery document comes from a public address, which there is none of here.
      fetchDocument: async (url, limits) =>
        url.endsWith('/openid-configuration')
          ? { text: JSON.stringify({ issuer: service.issuer.url, jwks_uri: target(port) }) }
          : guarded(url, { ...limits, timeoutMs }),
    })
    expect(await exchange()).toMatchObject({ status: 503, body: { code: 'provider_unavailable' } })
    expect(reached).toEqual([])
  })

  test('would be followed otherwise: there is something to be reached', async () => {
    await service.close()
    const { port } = inside.address() as AddressInfo
    const open = guardedFetch({ allowPrivateIssuers: true })
    service = await startApp({
      fetchDocument: async (url, limits) =>
        url.endsWith('/openid-configuration')
          ? {
              text: JSON.stringify({ issuer: service.issuer.url, jwks_uri: `http://127.0.0.1:${port}/jwks` }),
            }
          : open(url, limits),
    })
    expect((await exchange()).status).toBe(200)
    expect(reached).toEqual(['/jwks'])
  })
})
