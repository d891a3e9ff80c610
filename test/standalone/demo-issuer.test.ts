import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type DemoIssuer, demoClients, demoGrant, startDemoIssuer } from '../../standalone/demo-issuer.ts'
import { StateDirectory } from '../../standalone/state-directory.ts'
import { temporaryDirectory } from './temporary-directory.ts'

async function anIssuer(state?: StateDirectory): Promise<DemoIssuer> {
  const issuer = await startDemoIssuer({ port: 0, ...(state === undefined ? {} : { state }) })
  onTestFinished(() => issuer.close())
  return issuer
}

/** By discovery, as a relying party does it. */
async function verify({ issuer }: DemoIssuer, token: string, audience: string) {
  const found = (await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()) as {
    jwks_uri: string
  }
  return jwtVerify(token, createRemoteJWKSet(new URL(found.jwks_uri)), { issuer, audience })
}

async function ask({ issuer }: DemoIssuer, fields: Record<string, string>) {
  const response = await fetch(`${issuer}/token`, { method: 'POST', body: new URLSearchParams(fields) })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

describe('the demo issuer', () => {
  it.for(['RS256', 'ES256'] as const)(
    'gives an identity token signed with %s that verifies by discovery',
    async (alg) => {
      const issuer = await anIssuer()
      const token = await issuer.tokenFor('alice', { alg })
      const { payload } = await verify(issuer, token, demoClients[alg])
      expect(decodeProtectedHeader(token).alg).toBe(alg)
      expect(payload).toMatchObject({ sub: 'alice', email: 'alice@example.com', iat: expect.any(Number) })
    },
  )

  it('gives a JWT access token of RFC 9068 as well', async () => {
    const issuer = await anIssuer()
    const token = await issuer.tokenFor('alice', { use: 'access_token', alg: 'ES256' })
    const { payload, protectedHeader } = await verify(issuer, token, 'demo-es256')
    expect(protectedHeader).toMatchObject({ typ: 'at+jwt', alg: 'ES256' })
    expect(payload).toMatchObject({ sub: 'alice', email: 'alice@example.com', client_id: 'demo-es256' })
  })

  it('ends a token earlier when it is asked to', async () => {
    const issuer = await anIssuer()
    const { payload } = await verify(issuer, await issuer.tokenFor('alice', { lifeSeconds: 5 }), 'demo')
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(5)
  })

  it('puts the claims that were asked for into the token', async () => {
    const issuer = await anIssuer()
    const token = await issuer.tokenFor('alice', { claims: { room: 'blue', app: { roles: ['a'] } } })
    expect((await verify(issuer, token, 'demo')).payload).toMatchObject({
      room: 'blue',
      app: { roles: ['a'] },
    })
  })

  it.for([
    ['no name', { username: '' }, 'give -d username='],
    [
      'a claim that is not the caller’s to choose',
      { username: 'a', claims: '{"iss":"x"}' },
      'can not have iss',
    ],
    ['claims that are no JSON', { username: 'a', claims: '{' }, 'give claims as a JSON object'],
    ['a life beyond its own', { username: 'a', life: '601' }, 'give -d life='],
    ['another grant', { username: 'a', grant_type: 'password' }, 'unsupported grant_type'],
    ['another client', { username: 'a', client_id: 'stranger' }, 'client'],
  ] as const)('refuses %s', async ([, fields, reason]) => {
    const answer = await ask(await anIssuer(), { grant_type: demoGrant, client_id: 'demo', ...fields })
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(String(answer.body['error_description'])).toContain(reason)
  })

  it('signs with the same keys after a restart, when it has a place for them', async () => {
    const state = await StateDirectory.open(await temporaryDirectory())
    const token = await (await anIssuer(state)).tokenFor('alice')
    const again = await anIssuer(state)
    const keys = (await (await fetch(`${again.issuer}/jwks`)).json()) as { keys: { kid: string }[] }
    expect(keys.keys.map(({ kid }) => kid)).toContain(decodeProtectedHeader(token).kid)
  })

  it('signs with new keys without one', async () => {
    const [first, second] = [await anIssuer(), await anIssuer()]
    await expect(verify(second, await first.tokenFor('alice'), 'demo')).rejects.toThrow(/no applicable key/)
  })
})
