import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { generateSecret } from '#core/credentials/secret.ts'
import { DomainError } from '#core/errors.ts'
import { silentLog } from '#core/process/logger.ts'
import { apiKeyScopes } from '#core/resources/api-key.ts'
import type { OpenApiDocument } from '../../token-service/openapi/openapi-types.ts'
import { KubernetesUsers } from '../../token-service/users/kubernetes-users.ts'
import { providerSamples } from '../fixtures/provider-samples.ts'
import { anOrganizationId as org, aProvider } from '../fixtures/records.ts'
import { sealedFor, testSealing } from '../fixtures/sealing.ts'
import { aWebhookSecret, webhookHeaders } from '../fixtures/webhooks.ts'
import { addOrganization, type Answer, type AppUnderTest, send, startApp } from './app-under-test.ts'
import { OneUserApi } from './users/one-user-api.ts'

/** Every status that the OpenAPI document names is seen here, at every operation, or stands in `elsewhere`. */

/** What goes over the wire; what it needs is made when it is asked for. */
interface Ask {
  readonly url: string
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}
type Asked = () => Promise<Ask> | Ask

const key = generateSecret('sk')
const unknownKey = generateSecret('sk')
const webhookSecret = aWebhookSecret()
const json = { 'content-type': 'application/json' }
const form = { 'content-type': 'application/x-www-form-urlencoded' }
const sessionId = Buffer.from('worker:billing/one').toString('base64url')

let seeded: AppUnderTest
let service: AppUnderTest
let document: OpenApiDocument
let failure: Error | undefined
let isExhausted = false
const api = new OneUserApi()

/** Another service on the same stores, which can be told to fail. */
beforeAll(async () => {
  seeded = await startApp()
  await seeded.putKey(key, { uid: 'all', scopes: [...apiKeyScopes], attributes: ['email'] })
  await open()
  const clerk = aProvider({ uid: 'uid-clerk', type: 'clerk', settings: providerSamples.clerk.settings })
  await seeded.identities.put('provider', org, 'clerk', {
    ...clerk,
    secrets: sealedFor(clerk, { webhook: webhookSecret }),
  })
  const entry = {
    id: 'worker:billing/one',
    stored: { openedAt: 1, endsAt: 9e12, subscriptions: [], queued: 0 },
  }
  service = await startApp({
    now: () => seeded.now(),
    identities: failing(seeded.identities),
    credentials: failing(seeded.credentials),
    sessions: failing({
      list: async () => ({ sessions: [entry] }),
      find: async (_organization, id) => (id === entry.id ? entry : undefined),
    }),
    limiter: {
      take: async (_organization, limits) =>
        isExhausted
          ? { waitMs: 1_000, left: limits.map(() => ({ remaining: 0, fullInMs: 1_000 })) }
          : { waitMs: 0, left: limits.map(() => ({ remaining: 1, fullInMs: 0 })) },
    },
    sealing: testSealing,
    userResources: new KubernetesUsers(api, silentLog),
    settleMs: 1,
  })
  document = (await service.app.inject({ url: '/openapi.json' })).json()
})
afterAll(() => Promise.all([service.close(), seeded.close()]))

const open = (over: object = {}): Promise<void> =>
  addOrganization(seeded.identities, org, {
    exchange: { anonymous: true, public: { origins: ['*'] } },
    credentials: { defaultTtl: 3_600, maxTtl: 3_600, maxLifetime: 7_200 },
    ...over,
  })

function failing<Store extends object>(store: Store): Store {
  return new Proxy(store, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function') return member
      return (...given: unknown[]): unknown => {
        if (failure !== undefined) return Promise.reject(failure)
        return Reflect.apply(member, target, given)
      }
    },
  })
}

const bearer = (secret = key): Record<string, string> => ({ authorization: `Bearer ${secret}` })

async function credential(): Promise<Readonly<Record<string, string>>> {
  seeded.pass(2_000)
  const asked = { provider: 'oidc', token: await seeded.token() }
  const { body } = await send(service.app, 'POST', '/v1/token/exchange', asked, bearer())
  return body as Record<string, string>
}

function webhook(over: object = {}): Ask {
  const body = JSON.stringify({ type: 'session.ended', data: { id: 'sess_1', user_id: 'user_1' }, ...over })
  const at = Math.floor(seeded.now() / 1_000)
  return {
    url: `/v1/webhooks/${org}/clerk`,
    body,
    headers: { ...json, ...webhookHeaders(webhookSecret, body, { at }) },
  }
}

const exchangeForm = async (over: Record<string, string> = {}): Promise<Ask> => ({
  url: '/oauth2/token',
  headers: form,
  body: new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    subject_token: await seeded.token(),
    client_id: org,
    client_secret: key,
    ...over,
  }).toString(),
})

const aUser = async (): Promise<string> => {
  api.user = undefined
  await send(service.app, 'POST', '/v1/users', { username: 'ada' }, bearer())
  return '/v1/users/ada'
}

const byKey = (url: string, body?: unknown): Ask => ({ url, body, headers: bearer() })
const nobody = 'tmp_aaaaaaaaaaaaaaaaaaaa'

/** A request that is answered as it should be, and those that are not, by their status. */
const operations: Readonly<Record<string, { readonly good: Asked } & Readonly<Record<number, Asked>>>> = {
  'POST /v1/token/exchange': {
    good: async () => byKey('/v1/token/exchange', { provider: 'oidc', token: await seeded.token() }),
    404: () => byKey('/v1/token/exchange', { provider: 'none', token: 'x' }),
    422: () => byKey('/v1/token/exchange', { token: 'x' }),
  },
  'POST /v1/tokens': {
    good: () => byKey('/v1/tokens', { kind: 'worker', name: 'billing' }),
    404: () =>
      byKey('/v1/tokens', { kind: 'agent', agent_id: 'a', on_behalf_of: { provider: 'none', token: 'x' } }),
    422: () => byKey('/v1/tokens', { kind: 'worker', name: 'billing', access_lists: ['none'] }),
  },
  'GET /v1/tokens': { good: () => byKey('/v1/tokens') },
  'POST /v1/tokens/{id}/refresh': {
    good: async () => {
      const { username = '', password } = await credential()
      return { url: `/v1/tokens/${username}/refresh`, body: { password, ttl: 3_000 } }
    },
    401: () => ({ url: `/v1/tokens/${nobody}@${org}/refresh`, body: { password: 'wrong' } }),
  },
  'DELETE /v1/tokens/{id}': {
    good: async () => byKey(`/v1/tokens/${String((await credential())['id'])}`),
    404: () => byKey(`/v1/tokens/${nobody}`),
  },
  'POST /v1/revocations': {
    good: () => byKey('/v1/revocations', { principal: 'worker:other' }),
    404: () => byKey('/v1/revocations', { id: nobody }),
  },
  'GET /v1/sessions': { good: () => byKey('/v1/sessions') },
  'GET /v1/sessions/{id}': {
    good: () => byKey(`/v1/sessions/${sessionId}`),
    404: () => byKey('/v1/sessions/bm9uZS9ub25l'),
  },
  'DELETE /v1/sessions/{id}': {
    good: () => byKey(`/v1/sessions/${sessionId}`),
    404: () => byKey('/v1/sessions/bm9uZS9ub25l'),
  },
  'POST /v1/users': {
    good: () => {
      api.user = undefined
      return byKey('/v1/users', { username: 'ada' })
    },
    409: async () => {
      await aUser()
      return byKey('/v1/users', { username: 'ada', suspended: true })
    },
    422: () => {
      api.user = undefined
      return byKey('/v1/users', { username: 'ada', access_lists: ['none'] })
    },
  },
  'GET /v1/users': { good: () => byKey('/v1/users') },
  'GET /v1/users/{username}': {
    good: async () => byKey(await aUser()),
    404: () => byKey('/v1/users/nobody'),
  },
  'PATCH /v1/users/{username}': {
    good: async () => byKey(await aUser(), { suspended: true }),
    404: () => byKey('/v1/users/nobody', { suspended: true }),
    422: async () => byKey(await aUser(), { access_lists: ['none'] }),
  },
  'DELETE /v1/users/{username}': {
    good: async () => byKey(await aUser()),
    404: () => byKey('/v1/users/nobody'),
  },
  'POST /v1/users/{username}/password': {
    good: async () => byKey(`${await aUser()}/password`, {}),
    404: () => byKey('/v1/users/nobody/password', {}),
  },
  'POST /v1/access/explain': {
    good: async () =>
      byKey('/v1/access/explain', {
        kind: 'credential',
        credential: (await credential())['id'],
        action: 'publish',
        topic: 'a',
      }),
    404: () =>
      byKey('/v1/access/explain', { kind: 'credential', credential: nobody, action: 'publish', topic: 'a' }),
  },
  'GET /v1/audit': { good: () => byKey('/v1/audit') },
  'POST /v1/webhooks/{organization}/{provider}': {
    good: () => webhook(),
    401: () => ({ ...webhook(), headers: json }),
  },
  'POST /v2/tokens/exchange': {
    good: async () => ({
      url: '/v2/tokens/exchange',
      body: { organization_id: org, token: await seeded.token() },
    }),
    401: () => ({
      url: '/v2/tokens/exchange',
      body: { organization_id: org, token: 'x' },
      headers: bearer(unknownKey),
    }),
    404: () => ({ url: '/v2/tokens/exchange', body: { organization_id: 'org_aaaabbbbcccc', token: 'x' } }),
  },
  'POST /v2/tokens/create': {
    good: () => ({
      url: '/v2/tokens/create',
      body: { organization_id: org, secret_key: key, user_email: 'ada@example.com' },
    }),
    401: () => ({
      url: '/v2/tokens/create',
      body: { organization_id: org, secret_key: unknownKey, user_email: 'ada@example.com' },
    }),
  },
  'POST /v2/tokens/refresh': {
    good: async () => {
      const { username, password } = await credential()
      return {
        url: '/v2/tokens/refresh',
        body: { token_id: username, current_token_password: password },
      }
    },
    401: () => ({
      url: '/v2/tokens/refresh',
      body: { token_id: `${nobody}@${org}`, current_token_password: 'wrong' },
    }),
  },
  'GET /v2/providers': {
    good: () => ({ url: `/v2/providers?organization_id=${org}` }),
    401: () => ({ url: `/v2/providers?organization_id=${org}`, headers: bearer(unknownKey) }),
    400: () => ({ url: `/v2/providers?organization_id=${'x'.repeat(65)}` }),
    404: () => ({ url: '/v2/providers?organization_id=org_aaaabbbbcccc' }),
  },
  'POST /oauth2/token': {
    good: () => exchangeForm(),
    400: () => exchangeForm({ grant_type: 'password' }),
    401: () => exchangeForm({ client_secret: unknownKey }),
  },
  'GET /openapi.json': { good: () => ({ url: '/openapi.json' }) },
}

/** Undoes what a request needed to go wrong. */
let restore: () => Promise<void> = async () => {}

const inForce = 'it takes an operator: test/token-service/users/users-api.test.ts'
const changed = 'it takes somebody else at the same time: test/token-service/users/users-trouble.test.ts'
const noStore = 'it needs no store: only what every route may answer'
/** Statuses that are not seen here, each with the reason. */
const elsewhere: Readonly<Record<string, string>> = {
  'POST /v1/tokens/{id}/refresh 404': 'its IdentityProvider goes while this is answered: before, it is 401',
  'POST /v1/users 201': inForce,
  'PATCH /v1/users/{username} 200': inForce,
  'PATCH /v1/users/{username} 409': changed,
  'GET /v1/users 200': inForce,
  'DELETE /v1/users/{username} 202': inForce,
  'DELETE /v1/users/{username} 409': changed,
  'POST /v1/users/{username}/password 200': inForce,
  'POST /v1/users/{username}/password 409': changed,
  'GET /openapi.json 429': noStore,
  'GET /openapi.json 500': noStore,
  'GET /openapi.json 503': noStore,
}

/** In this order: the later ones disturb the service. */
const causes: Readonly<Record<number, (asked: Ask) => Promise<Ask>>> = {
  400: async (asked) => ({ ...asked, body: '{"' }),
  401: async (asked) => ({ ...asked, headers: { ...asked.headers, ...bearer(unknownKey) } }),
  413: async (asked) => ({ ...asked, body: JSON.stringify('x'.repeat(300_000)) }),
  415: async (asked) => ({
    ...asked,
    body: 'x',
    headers: { ...asked.headers, 'content-type': 'text/plain' },
  }),
  403: async (asked) => {
    await open({ suspended: true })
    restore = () => open()
    return asked
  },
  429: async (asked) => {
    isExhausted = true
    // What was allowed, and what was refused, is remembered for a moment.
    seeded.pass(2_000)
    restore = async () => {
      isExhausted = false
      seeded.pass(2_000)
    }
    return asked
  },
  500: async (asked) => {
    failure = new Error('something that nobody thought of')
    restore = async () => void (failure = undefined)
    return asked
  },
  503: async (asked) => {
    failure = new DomainError('store-unavailable', 'Redis did not answer')
    restore = async () => void (failure = undefined)
    return asked
  },
}

const withUnknownParameter = async (asked: Ask): Promise<Ask> => ({ ...asked, url: `${asked.url}?nothing=1` })

describe('every status that is documented can be had:', () => {
  test('the operations are those of the document', () => {
    const documented = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    )
    expect(Object.keys(operations).toSorted()).toEqual(documented.toSorted())
  })

  test.each(Object.entries(operations))('%s', async (operation, { good, ...bad }) => {
    const [method = '', path = ''] = operation.split(' ')
    const documented = Object.keys(document.paths[path]?.[method.toLowerCase()]?.responses ?? {})
    const seen = new Set<string>()
    let last = ''
    const ask = async ({ url, body, headers }: Ask): Promise<Answer> => {
      const answer = await send(service.app, method as 'GET', url, body, { ...headers })
      seen.add(String(answer.status))
      last = answer.text.slice(0, 300)
      return answer
    }
    await ask(await good())
    for (const asked of Object.values(bad)) {
      restore = async () => {}
      await ask(await asked())
      await restore()
    }
    const more = method === 'GET' ? { ...causes, 400: withUnknownParameter } : causes
    for (const [status, cause] of Object.entries(more)) {
      const isElsewhere = elsewhere[`${operation} ${status}`] !== undefined
      if (!documented.includes(status) || isElsewhere || bad[Number(status)] !== undefined) continue
      restore = async () => {}
      const wanted = await cause(await good())
      await ask(wanted)
      await restore()
    }
    const others = documented.filter((status) => elsewhere[`${operation} ${status}`] !== undefined)
    expect([...seen, ...others].toSorted(), last).toEqual(documented.toSorted())
  })

  test('what is seen elsewhere is documented', () => {
    const documented = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).flatMap(([method, { responses }]) =>
        Object.keys(responses).map((status) => `${method.toUpperCase()} ${path} ${status}`),
      ),
    )
    expect(Object.keys(elsewhere).filter((each) => !documented.includes(each))).toEqual([])
  })
})
