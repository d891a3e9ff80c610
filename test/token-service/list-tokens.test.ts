import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { generateSecret } from '#core/credentials/secret.ts'
import { subjectPrincipal } from '#core/identity/principal.ts'
import { anApiKey, anOrganizationId, anotherOrganizationId } from '../fixtures/records.ts'
import { addOrganization, type AppUnderTest, startApp } from './app-under-test.ts'

let service: AppUnderTest
beforeEach(async () => {
  service = await startApp()
})
afterEach(() => service.close())

type Listed = Record<string, unknown>
const list = async (query = '', key?: string): Promise<{ tokens: Listed[]; next?: string }> => {
  const answer = await service.get(`/v1/tokens${query}`, key)
  expect(answer.status).toBe(200)
  expect(answer.headers['cache-control']).toBe('no-store')
  return answer.body as unknown as { tokens: Listed[]; next?: string }
}
const idsOf = async (query: string): Promise<unknown[]> => (await list(query)).tokens.map(({ id }) => id)
const create = async (body: object): Promise<Listed> => (await service.post('/v1/tokens', body)).body

describe('live credentials are listed', () => {
  test('with all that is known of them, and no secret', async () => {
    const token = await service.token()
    const exchanged = await service.exchange({ token, client_id: 'web-1', connections: 3, ttl: 1200 })
    const agent = await create({ kind: 'agent', agent_id: 'a', ttl: 600, on_behalf_of: { token } })
    const { tokens, next } = await list()
    expect(next).toBeUndefined()
    const person = subjectPrincipal(service.issuer.url, undefined, 'ada')
    const issued_at = new Date(service.now()).toISOString()
    expect(tokens).toEqual([
      {
        id: agent['id'],
        username: agent['username'],
        kind: 'agent',
        principal: `agent:a:${person}`,
        attributes: { user_id: 'ada', provider: 'oidc', agent_id: 'a' },
        issued_at,
        expires_at: agent['expires_at'],
        provider: 'oidc',
        api_key: 'backend',
        act: { sub: 'a' },
      },
      {
        id: exchanged.body['id'],
        username: exchanged.body['username'],
        kind: 'exchange',
        principal: person,
        attributes: { user_id: 'ada', provider: 'oidc' },
        issued_at,
        expires_at: exchanged.body['expires_at'],
        provider: 'oidc',
        api_key: 'backend',
        client_id: 'web-1',
        connections: 3,
      },
    ])
    const text = JSON.stringify(tokens)
    for (const secret of ['verifier', 'digest', String(agent['password'])]) expect(text).not.toContain(secret)
  })

  test('by kind, by principal, and by the subject of their identity tokens', async () => {
    const ada = (await service.exchange({ token: await service.token() })).body['id']
    const bob = (await service.exchange({ token: await service.token({ sub: 'bob' }) })).body['id']
    const worker = (await create({ kind: 'worker', name: 'billing' }))['id']
    expect(await idsOf('?kind=worker')).toEqual([worker])
    expect(await idsOf('?kind=anonymous')).toEqual([])
    expect(await idsOf('?principal=worker:billing')).toEqual([worker])
    expect(await idsOf('?user_id=bob')).toEqual([bob])
    expect(await idsOf('?user_id=ada&kind=exchange')).toEqual([ada])
    expect(await idsOf('?user_id=ada&kind=worker')).toEqual([])
    expect(await idsOf('?user_id=ada&principal=worker:billing')).toEqual([])
    expect(await idsOf('?user_id=eve')).toEqual([])
  })

  test('page by page', async () => {
    const made: unknown[] = []
    for (const name of ['a', 'b', 'c', 'd', 'e']) made.push((await create({ kind: 'worker', name }))['id'])
    const seen: unknown[] = []
    let query = '?limit=2'
    for (let pages = 1; ; pages += 1) {
      const { tokens, next } = await list(query)
      seen.push(...tokens.map(({ id }) => id))
      if (next === undefined) {
        expect(pages).toBe(3)
        break
      }
      query = `?limit=2&cursor=${next}`
    }
    expect(seen.toSorted()).toEqual(made.toSorted())
  })

  test('only while they live', async () => {
    const first = await create({ kind: 'worker', name: 'a', ttl: 60 })
    const second = await create({ kind: 'worker', name: 'b' })
    service.pass(60_000)
    expect(await idsOf('')).toEqual([second['id']])
    expect(first['id']).toBeDefined()
  })

  test('of the organization of the key alone, and by keys that may revoke', async () => {
    await create({ kind: 'worker', name: 'a' })
    await addOrganization(service.identities, anotherOrganizationId)
    const foreign = generateSecret('sk')
    const record = anApiKey('foreign', foreign, { scopes: ['revoke'] }, anotherOrganizationId)
    await service.identities.put('api-key', anotherOrganizationId, 'foreign', record)
    expect(await list('', foreign)).toEqual({ tokens: [] })
    const creator = generateSecret('sk')
    await service.putKey(creator, { scopes: ['tokens:create'] })
    expect(await service.get('/v1/tokens', creator)).toMatchObject({
      status: 403,
      body: { code: 'insufficient_scope' },
    })
    expect(anOrganizationId).not.toBe(anotherOrganizationId)
  })

  test.each([
    ['limit=0', 'limit'],
    ['limit=201', 'limit'],
    ['limit=many', 'limit'],
    ['limit=1&limit=2', 'limit'],
    ['cursor=x', 'cursor'],
    ['cursor=1.ada', 'cursor'],
    ['kind=user', 'kind'],
    ['principal=user:ada', 'principal'],
    ['user_id=', 'user_id'],
    ['sort=asc', 'sort'],
  ])('not by ?%s', async (query, field) => {
    const answer = await service.get(`/v1/tokens?${query}`)
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request', errors: [{ field }] } })
  })
})
