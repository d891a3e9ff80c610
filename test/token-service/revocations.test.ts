import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { anOrganizationId } from '../fixtures/records.ts'
import { type Answer, type AppUnderTest, startApp } from './app-under-test.ts'

let service: AppUnderTest
beforeEach(async () => {
  service = await startApp()
})
afterEach(() => service.close())

const revoke = (body: unknown, key?: string): Promise<Answer> => service.post('/v1/revocations', body, key)
const live = async (id: unknown): Promise<boolean> =>
  (await service.credentials.get(anOrganizationId, String(id))) !== undefined

async function exchanged(sub: string): Promise<unknown> {
  const { status, body } = await service.exchange({ token: await service.token({ sub }) })
  expect(status).toBe(200)
  service.pass(1)
  return body['id']
}

describe('a revocation ends', () => {
  test('all credentials of a person, and of nobody else', async () => {
    const [first, second, other] = [
      await exchanged('user_1'),
      await exchanged('user_1'),
      await exchanged('user_2'),
    ]
    const { status, body } = await revoke({ user_id: 'user_1' })
    expect(status).toBe(200)
    expect(body).toEqual({
      revoked_at: new Date(service.now()).toISOString(),
      ended_connections: 0,
      unconfirmed_replicas: [],
    })
    expect(await Promise.all([first, second, other].map(live))).toEqual([false, false, true])
  })

  test('those of a provider, of a principal, of the organization', async () => {
    const one = await exchanged('user_1')
    await revoke({ provider: 'another' })
    expect(await live(one)).toBe(true)
    await revoke({ provider: 'oidc' })
    expect(await live(one)).toBe(false)
    const agent = await service.post('/v1/tokens', { kind: 'worker', name: 'billing' })
    service.pass(1)
    expect(await live(agent.body['id'])).toBe(true)
    await revoke({ principal: 'worker:billing' })
    expect(await live(agent.body['id'])).toBe(false)
    const two = await service.post('/v1/tokens', { kind: 'worker', name: 'billing' })
    service.pass(1)
    await revoke({ organization: true })
    expect(await live(two.body['id'])).toBe(false)
  })

  test('what an API key vouched for, and nobody who signed in with it', async () => {
    const person = await exchanged('user_1')
    const worker = await service.post('/v1/tokens', { kind: 'worker', name: 'billing' })
    const agent = await service.post('/v1/tokens', {
      kind: 'agent',
      agent_id: 'planner',
      on_behalf_of: { token: await service.token() },
    })
    const ids = [person, worker.body['id'], agent.body['id']]
    service.pass(1)
    await revoke({ api_key: 'browser' })
    expect(await Promise.all(ids.map(live))).toEqual([true, true, true])
    await revoke({ api_key: 'backend' })
    expect(await Promise.all(ids.map(live))).toEqual([true, false, false])
    expect(service.logged.findLast((line) => line.includes('"api-key"'))).toMatch(/"issuedBy":"backend"/)
  })

  test('nothing is made by an API key that goes meanwhile', async () => {
    const worker = { kind: 'worker', name: 'billing' }
    const organization = service.identities.get.bind(service.identities)
    service.identities.get = async (type, ...of) => {
      if (type === 'organization') {
        await service.identities.remove('api-key', anOrganizationId, 'backend')
      }
      return organization(type, ...of)
    }
    expect(await service.post('/v1/tokens', worker)).toMatchObject({ status: 503 })
    expect((await service.credentials.list(anOrganizationId, { limit: 10 })).credentials).toEqual([])
  })

  test('one credential by its id', async () => {
    const [one, other] = [await exchanged('user_1'), await exchanged('user_1')]
    expect(await revoke({ id: one })).toMatchObject({ status: 200, body: { unconfirmed_replicas: [] } })
    expect(await Promise.all([one, other].map(live))).toEqual([false, true])
    expect(await revoke({ id: one })).toMatchObject({ status: 404, body: { code: 'credential_not_found' } })
    expect(await revoke({ id: '../x' })).toMatchObject({ status: 404 })
  })

  test('only what was issued by then', async () => {
    const before = await exchanged('user_1')
    service.pass(60_000)
    const issued_before = new Date(service.now()).toISOString()
    service.pass(60_000)
    const after = await exchanged('user_1')
    expect((await revoke({ user_id: 'user_1', issued_before })).body).toMatchObject({
      revoked_at: issued_before,
    })
    expect(await Promise.all([before, after].map(live))).toEqual([false, true])
  })
})

describe('the same identity token', () => {
  test('does not bring back what was revoked, for a person, a provider or the organization', async () => {
    for (const body of [{ user_id: 'user_1' }, { provider: 'oidc' }, { organization: true }]) {
      const token = await service.token({ sub: 'user_1' })
      expect((await service.exchange({ token })).status).toBe(200)
      service.pass(1_000)
      const other = await service.token({ sub: 'user_2' })
      service.pass(1_000)
      await revoke(body)
      expect(await service.exchange({ token })).toMatchObject({
        status: 401,
        body: { code: 'token_revoked' },
      })
      expect((await service.exchange({ token: other })).status).toBe('user_id' in body ? 200 : 401)
      service.pass(1_000)
      expect((await service.exchange({ token: await service.token({ sub: 'user_1' }) })).status).toBe(200)
    }
  })

  test('is not told to a browser what is wrong with it', async () => {
    const token = await service.token({ sub: 'user_1' })
    service.pass(1_000)
    await revoke({ user_id: 'user_1' })
    const headers = { origin: 'https://acme.example' }
    const answer = await service.exchange({ token }, service.publishableKey, headers)
    expect(answer).toMatchObject({ status: 401, body: { code: 'invalid_token' } })
  })

  test('lets no agent act for somebody who was revoked', async () => {
    const token = await service.token({ sub: 'user_1' })
    service.pass(1_000)
    await revoke({ user_id: 'user_1' })
    const body = { kind: 'agent', agent_id: 'planner', on_behalf_of: { token } }
    expect(await service.post('/v1/tokens', body)).toMatchObject({ status: 401 })
  })
})

describe('what can not be revoked is said:', () => {
  test.each([
    ['nobody is named', {}, 'id'],
    ['two are named', { user_id: 'a', provider: 'b' }, 'provider'],
    ['a time with an id', { id: 'tmp_1', issued_before: '2026-01-01T00:00:00Z' }, 'issued_before'],
    ['organization: false', { organization: false }, 'organization'],
    ['a time that is none', { user_id: 'a', issued_before: 'yesterday' }, 'issued_before'],
    ['a field that is unknown', { user: 'a' }, 'user'],
    ['a principal that is a permanent user', { principal: 'user:ada' }, 'principal'],
  ])('%s', async (_what, body, field) => {
    const answer = await revoke(body)
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } })
    expect(JSON.stringify(answer.body['errors'])).toContain(field)
    expect(service.control.filter(({ type }) => type === 'barrier')).toEqual([])
  })

  test('without a key, or by one that may not', async () => {
    expect((await revoke({ organization: true }, '')).status).toBe(401)
    expect((await revoke({ organization: true }, service.publishableKey)).status).toBe(403)
  })
})
