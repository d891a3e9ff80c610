import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { generateSecret } from '#core/credentials/secret.ts'
import { DomainError } from '#core/errors.ts'
import { silentLog } from '#core/process/logger.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import { ApiError } from '../../../kubernetes/api-error.ts'
import type { ClusterRequest } from '../../../token-service/users/cluster-client.ts'
import { KubernetesUsers } from '../../../token-service/users/kubernetes-users.ts'
import { anOrganizationId as org, aUser } from '../../fixtures/records.ts'
import { type Answer, type AppUnderTest, send, startApp, withMethods } from '../app-under-test.ts'
import { OneUserApi } from './one-user-api.ts'

let service: AppUnderTest
let api: OneUserApi
const key = generateSecret('sk')
beforeEach(async () => {
  api = new OneUserApi()
  service = await startApp({ userResources: new KubernetesUsers(api, silentLog), settleMs: 30 })
  await service.putKey(key, { uid: 'fleet', scopes: ['users:write'] })
})
afterEach(() => service.close())

const create = (body: object = {}, headers = {}): Promise<Answer> =>
  service.post('/v1/users', { username: 'ada', ...body }, key, headers)
const change = (): Promise<Answer> =>
  send(service.app, 'PATCH', '/v1/users/ada', { suspended: true }, { authorization: `Bearer ${key}` })
const code = ({ status, body }: Answer) => [status, body['code']]
const failing = (error: ApiError, method: string) => (request: ClusterRequest) => {
  if (request.method === method) throw error
}

describe('a user that is written and not in force', () => {
  test('is answered 202, with its password', async () => {
    const answer = await create()
    expect([answer.status, answer.body['status']]).toEqual([202, 'pending'])
    expect(answer.body['password']).toMatch(/^cs_mp_/)
  })

  test('also where Redis goes away in the meantime: the password would be lost', async () => {
    let isAway = false
    api.before = ({ method }) => {
      isAway ||= method === 'POST'
    }
    const own = await startApp({
      userResources: new KubernetesUsers(api, silentLog),
      settleMs: 30,
      identities: withMethods(service.identities, {
        get: ((type: 'user', organization: typeof org, name: string) =>
          isAway
            ? Promise.reject(new DomainError('store-unavailable', 'away'))
            : service.identities.get(type, organization, name)) as IdentityReader['get'],
      }),
    })
    const headers = { authorization: `Bearer ${key}` }
    const answer = await send(own.app, 'POST', '/v1/users', { username: 'ada' }, headers)
    expect(answer.status).toBe(202)
    expect(answer.body['password']).toMatch(/^cs_mp_/)
    await own.close()
  })

  test.each([
    ['another one holds the username', 'UsernameConflict', [409, 'user_exists']],
    ['others have all the places', 'UserLimitReached', [403, 'user_limit_reached']],
  ])('is taken back where %s by then', async (_, reason, answer) => {
    const ready = { type: 'Ready', status: 'False', reason, message: 'older' } as const
    const lastTransitionTime = '2026-11-25T08:00:00Z'
    api.status = { conditions: [{ ...ready, observedGeneration: 1, lastTransitionTime }] }
    expect(code(await create())).toEqual(answer)
    expect(api.user).toBeUndefined()
  })

  test('is not made where a record has the name, whoever left it behind', async () => {
    await service.identities.put('user', org, 'ada', aUser('ada', 'x'))
    expect(code(await create())).toEqual([409, 'user_exists'])
    expect(api.user).toBeUndefined()
  })
})

describe('a change', () => {
  test('is made again where the object has changed since it was read, and given up in the end', async () => {
    await create()
    let conflicts = 0
    api.before = ({ method }) => {
      if (method === 'PATCH' && (conflicts += 1) < 3) throw new ApiError('conflict', 'stale', { status: 409 })
    }
    expect((await change()).status).toBe(202)
    expect(conflicts).toBe(3)
    api.before = failing(new ApiError('conflict', 'stale', { status: 409 }), 'PATCH')
    api.requests.splice(0)
    expect(code(await change())).toEqual([409, 'user_changed'])
    expect(api.requests.filter((method) => method === 'PATCH')).toHaveLength(4)
  })
})

test.each([
  ['unreachable', [503, 'users_unavailable']],
  ['timeout', [503, 'users_unavailable']],
  ['too-many-requests', [503, 'users_unavailable']],
  ['unauthorized', [503, 'users_unavailable']],
  ['server-error', [503, 'users_unavailable']],
  // Without our CRDs the path is not there, which is not the same as a user who is not.
  ['not-found', [503, 'users_unavailable']],
  ['forbidden', [403, 'users_not_enabled']],
] as const)('an API server that answers %s is %j', async (failure, expected) => {
  api.before = failing(new ApiError(failure, 'said the server'), 'GET')
  const answer = await service.get('/v1/users/ada', key)
  expect(code(answer)).toEqual(expected)
  expect(code(await create())).toEqual(expected)
  expect(answer.headers['retry-after']).toBe(expected[0] === 503 ? '5' : undefined)
})

test('a cursor that is too old is the caller’s to renew', async () => {
  api.before = failing(new ApiError('gone', 'expired', { status: 410 }), 'GET')
  const answer = await service.get('/v1/users?cursor=abc', key)
  expect(code(answer)).toEqual([400, 'invalid_request'])
  expect(answer.body['errors']).toMatchObject([{ field: 'cursor' }])
})

test('an Idempotency-Key holds for 24 hours', async () => {
  const once = { 'idempotency-key': 'f3c1a2b4-0001' }
  const { password } = (await create({}, once)).body
  service.pass(Date.parse('2026-11-26T07:59:59Z') - service.now())
  expect((await create({}, once)).body['password']).toBe(password)
  service.pass(2_000)
  expect(code(await create({}, once))).toEqual([409, 'user_exists'])
})

test('without resources to write there is no Users API', async () => {
  const own = await startApp()
  await own.putKey(key, { uid: 'fleet', scopes: ['users:write'] })
  expect(code(await own.get('/v1/users', key))).toEqual([403, 'users_not_enabled'])
  await own.close()
})
