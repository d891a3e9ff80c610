import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { IssuedCredential } from '#core/credentials/credential-record.ts'
import { generateSecret } from '#core/credentials/secret.ts'
import { verifySecret } from '#core/credentials/verifier.ts'
import { subjectPrincipal } from '#core/identity/principal.ts'
import { organizationRecordName } from '#core/stores/identity-records.ts'
import { anOrganization, anOrganizationId, anotherOrganizationId } from '../fixtures/records.ts'
import { addOrganization, type Answer, type AppUnderTest, aProviderOf, startApp } from './app-under-test.ts'

let service: AppUnderTest
beforeEach(async () => {
  service = await startApp()
})
afterEach(() => service.close())

const origin = 'https://acme.example'
const create = (body: unknown, key?: string, headers?: Record<string, string>): Promise<Answer> =>
  service.post('/v1/tokens', body, key, headers)
const storedOf = ({ body }: Answer): Promise<IssuedCredential | undefined> =>
  service.credentials.get(anOrganizationId, String(body['id']))
const codeOf = async (answer: Promise<Answer>): Promise<unknown> => (await answer).body['code']
const putOrganization = (over: Parameters<typeof anOrganization>[0]): Promise<boolean> =>
  service.identities.put('organization', anOrganizationId, organizationRecordName, anOrganization(over))
const putList = (name: string): Promise<boolean> =>
  service.identities.put('access-list', anOrganizationId, name, { rules: [] })

describe('a worker', () => {
  test('gets a credential by API key, with its scopes and times', async () => {
    const answer = await create({ kind: 'worker', name: 'billing', ttl: 600, client_id: 'billing-1' })
    expect(answer.status).toBe(201)
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(answer.body).toEqual({
      id: expect.stringMatching(/^tmp_[a-z0-9]{20}$/),
      username: `${String(answer.body['id'])}@${anOrganizationId}`,
      password: expect.stringMatching(/^cs_mp_/),
      expires_at: new Date(service.now() + 600_000).toISOString(),
      expires_in: 600,
      refresh_recommended_at: new Date(service.now() + 540_000).toISOString(),
      organization: anOrganizationId,
      kind: 'worker',
      name: 'billing',
    })
    const stored = await storedOf(answer)
    expect(stored).toMatchObject({
      kind: 'worker',
      principal: 'worker:billing',
      attributes: {},
      access: { lists: [], rules: [], ceilings: [] },
      apiKey: 'backend',
      clientId: 'billing-1',
    })
    const binding = { kind: 'temporary', name: String(answer.body['username']) } as const
    expect(stored && (await verifySecret(String(answer.body['password']), stored.verifier, binding))).toBe(
      true,
    )
  })

  test('is the same principal each time; its others end only where they are to be replaced', async () => {
    const first = await create({ kind: 'worker', name: 'billing' })
    service.pass(1_000)
    const second = await create({ kind: 'worker', name: 'billing' })
    expect(await storedOf(first)).toBeDefined()
    const third = await create({ kind: 'worker', name: 'billing', replace_existing: true })
    expect(await storedOf(first)).toBeUndefined()
    expect(await storedOf(second)).toBeUndefined()
    expect(await storedOf(third)).toBeDefined()
    expect(service.control.slice(-2).map(({ type, name }) => [type, name])).toEqual(
      [first, second].map(({ body }) => ['credential', body['id']]),
    )
  })

  test('may have so many live credentials and no more: those that end first make room', async () => {
    const capped = await startApp({ mostPerSubject: 2 })
    const ids: string[] = []
    for (const ttl of [3600, 600, 1200]) {
      const { body } = await capped.post('/v1/tokens', { kind: 'worker', name: 'billing', ttl })
      ids.push(String(body['id']))
    }
    const live = await Promise.all(ids.map((id) => capped.credentials.get(anOrganizationId, id)))
    expect(live.map((one) => one !== undefined)).toEqual([true, false, true])
    await capped.close()
  })
})

describe('an agent', () => {
  test('gets its id as a variable', async () => {
    const answer = await create({ kind: 'agent', agent_id: 'planner-1' })
    expect(answer).toMatchObject({ status: 201, body: { kind: 'agent', agent_id: 'planner-1' } })
    expect(answer.body).not.toHaveProperty('act')
    expect(await storedOf(answer)).toMatchObject({
      principal: 'agent:planner-1',
      attributes: { agent_id: 'planner-1' },
    })
  })

  test('has an id that its key may issue for: a forged one is refused', async () => {
    const key = generateSecret('sk')
    await service.putKey(key, { scopes: ['tokens:create'], agentIdPattern: 'team-a-[0-9]+|scout' })
    for (const agent_id of ['team-a-17', 'scout']) {
      expect((await create({ kind: 'agent', agent_id }, key)).status).toBe(201)
    }
    for (const agent_id of ['team-b-17', 'team-a-', 'team-a-17x', 'xscout', 'scout2', 'SCOUT']) {
      expect(await create({ kind: 'agent', agent_id }, key)).toMatchObject({
        status: 403,
        body: { code: 'agent_id_not_allowed', errors: [{ field: 'agent_id', value: agent_id }] },
      })
    }
    const forged = { kind: 'agent', agent_id: 'scout', act: { sub: 'team-a-1', act: { sub: 'team-b-1' } } }
    expect(await codeOf(create(forged, key))).toBe('agent_id_not_allowed')
  })

  test('has an id of one topic level', async () => {
    for (const agent_id of ['a/b', '+', '#', 'a#', '', '.a', 'a:b', 'a b', 'x'.repeat(129), 1, null]) {
      expect(await codeOf(create({ kind: 'agent', agent_id }))).toBe('invalid_request')
    }
  })

  test('whose key has a pattern that never comes to an end is refused, and nobody waits', async () => {
    const key = generateSecret('sk')
    await service.putKey(key, { scopes: ['tokens:create'], agentIdPattern: '(a+)+b' })
    const started = performance.now()
    expect(await codeOf(create({ kind: 'agent', agent_id: 'a'.repeat(60) }, key))).toBe(
      'agent_id_not_allowed',
    )
    expect(performance.now() - started).toBeLessThan(2_000)
  })
})

describe('an agent on behalf of a person', () => {
  const onBehalf = async (over: object = {}, key?: string): Promise<Answer> =>
    create(
      { kind: 'agent', agent_id: 'planner-1', on_behalf_of: { token: await service.token() }, ...over },
      key,
    )

  test('has the variables of both, is its own principal, and may do no more than the person', async () => {
    await putList('tools')
    const answer = await onBehalf({ access_lists: ['tools'], act: { sub: 'router' } })
    const act = { sub: 'planner-1', act: { sub: 'router' } }
    expect(answer).toMatchObject({ status: 201, body: { agent_id: 'planner-1', act } })
    const person = subjectPrincipal(service.issuer.url, undefined, 'ada')
    expect(await storedOf(answer)).toMatchObject({
      principal: `agent:planner-1:${person}`,
      attributes: { user_id: 'ada', provider: 'oidc', agent_id: 'planner-1' },
      access: { lists: ['tools'], ceilings: [['members']] },
      provider: 'oidc',
      actors: ['planner-1', 'router'],
    })
  })

  test('may do what the person may where the request names no list, by default lists too', async () => {
    expect((await storedOf(await onBehalf()))?.access).toEqual({
      lists: ['members'],
      rules: [],
      ceilings: [['members']],
    })
    await putOrganization({ defaultLists: ['everyone'] })
    await service.identities.put('provider', anOrganizationId, 'oidc', {
      ...aProviderOf(service.issuer),
      lists: [],
    })
    await putList('tools')
    expect((await storedOf(await onBehalf({ access_lists: ['tools'] })))?.access).toEqual({
      lists: ['tools'],
      rules: [],
      ceilings: [['everyone']],
    })
  })

  test('needs a token that holds, and can not say otherwise who the person is', async () => {
    const expired = {
      exp: Math.floor(service.now() / 1000) - 60,
      iat: Math.floor(service.now() / 1000) - 600,
    }
    const bad = { on_behalf_of: { token: await service.token(expired) } }
    expect(await onBehalf(bad)).toMatchObject({ status: 401, body: { code: 'token_expired' } })
    const key = generateSecret('sk')
    await service.putKey(key, { scopes: ['tokens:create'], attributes: ['user_id', 'email', 'role'] })
    for (const attributes of [{ user_id: 'eve' }, { email: 'eve@example.com' }]) {
      expect(await codeOf(onBehalf({ attributes }, key))).toBe('attribute_not_allowed')
    }
    expect((await storedOf(await onBehalf({ attributes: { role: 'x' } }, key)))?.attributes).toMatchObject({
      user_id: 'ada',
      'claims.role': 'x',
    })
  })

  test('lives no longer than the provider lets the person', async () => {
    await service.identities.put('provider', anOrganizationId, 'oidc', {
      ...aProviderOf(service.issuer),
      bindToTokenExpiry: true,
    })
    const exp = Math.floor(service.now() / 1000) + 90
    const { body } = await onBehalf({ on_behalf_of: { token: await service.token({ exp }) } })
    expect(body['expires_in']).toBeLessThanOrEqual(90)
  })
})

describe('somebody anonymous', () => {
  const visitor = (over: object = {}): Promise<Answer> =>
    create({ kind: 'anonymous', ...over }, service.publishableKey, { origin })

  test('gets a credential only where the organization turned that on', async () => {
    for (const answer of [await visitor(), await create({ kind: 'anonymous' })]) {
      expect(answer).toMatchObject({ status: 403, body: { code: 'anonymous_not_allowed' } })
    }
    await putOrganization({ exchange: { anonymous: true } })
    const answer = await visitor()
    expect(answer.status).toBe(201)
    expect(await storedOf(answer)).toMatchObject({
      kind: 'anonymous',
      principal: `tmp:${String(answer.body['id'])}`,
      attributes: {},
      apiKey: 'browser',
    })
    expect((await create({ kind: 'anonymous' })).status).toBe(201)
  })

  test('gets nothing else by a publishable key, whatever its record says', async () => {
    await putOrganization({ exchange: { anonymous: true } })
    await putList('members')
    const key = generateSecret('pk')
    await service.putKey(key, {
      type: 'publishable',
      scopes: ['exchange', 'tokens:create'],
      attributes: ['role'],
      origins: [origin],
    })
    const open = (body: object): Promise<Answer> => create(body, key, { origin })
    expect(await codeOf(open({ kind: 'worker', name: 'billing' }))).toBe('insufficient_scope')
    expect(await codeOf(open({ kind: 'agent', agent_id: 'a' }))).toBe('insufficient_scope')
    expect(await codeOf(open({ kind: 'anonymous', attributes: { role: 'admin' } }))).toBe(
      'attribute_not_allowed',
    )
    expect(await codeOf(open({ kind: 'anonymous', access_lists: ['members'] }))).toBe(
      'access_list_not_allowed',
    )
    expect((await create({ kind: 'anonymous' }, key, { origin: 'https://evil.example' })).status).toBe(403)
  })

  test('may name lists inside the ceiling of the key', async () => {
    await putOrganization({ exchange: { anonymous: true } })
    await putList('visitors')
    const key = generateSecret('pk')
    await service.putKey(key, { type: 'publishable', ceiling: ['visitors'], origins: [origin] })
    const answer = await create({ kind: 'anonymous', access_lists: ['visitors'] }, key, { origin })
    expect((await storedOf(answer))?.access).toEqual({
      lists: ['visitors'],
      rules: [],
      ceilings: [['visitors']],
    })
  })
})

describe('what a key may ask for:', () => {
  test('the attributes that it permits, and no other', async () => {
    const key = generateSecret('sk')
    await service.putKey(key, { scopes: ['tokens:create'], attributes: ['role', 'email'] })
    const worker = { kind: 'worker', name: 'billing' }
    const right = await create({ ...worker, attributes: { role: 'x', email: 'a@example.com' } }, key)
    expect((await storedOf(right))?.attributes).toEqual({ 'claims.role': 'x', email: 'a@example.com' })
    for (const name of ['user_id', 'session_id', 'team', 'agent_id', 'username']) {
      expect(await create({ ...worker, attributes: { [name]: 'x', role: 'y' } }, key)).toMatchObject({
        status: 403,
        body: { code: 'attribute_not_allowed', errors: [{ field: 'attributes', value: name }] },
      })
    }
    for (const body of [
      '{"kind":"worker","name":"b","attributes":{"__proto__":"x"}}',
      { ...worker, attributes: { 'claims.role': 'x' } },
      { ...worker, attributes: { role: 'a\u0000' } },
    ]) {
      expect(await codeOf(create(body, key))).toBe('invalid_request')
    }
  })

  test('lists that are there; and nothing beyond its ceiling', async () => {
    await putList('jobs')
    const key = generateSecret('sk')
    await service.putKey(key, { scopes: ['tokens:create'], ceiling: ['readers'] })
    const permissions = [{ actions: ['publish'], topics: ['jobs/{username}/#'], maxQos: 1 }]
    const body = { kind: 'worker', name: 'billing', access_lists: ['jobs'], permissions }
    expect((await storedOf(await create(body, key)))?.access).toEqual({
      lists: ['jobs'],
      rules: [],
      ceilings: [['readers']],
      narrowing: [{ effect: 'allow', ...permissions[0] }],
    })
    expect(await create({ ...body, access_lists: ['jobs', 'other'] }, key)).toMatchObject({
      status: 422,
      body: { code: 'access_list_not_found', errors: [{ field: 'access_lists', value: 'other' }] },
    })
    for (const topics of [['a/#/b'], ['{nobody}/x'], [''], []]) {
      const wrong = { ...body, permissions: [{ actions: ['publish'], topics }] }
      expect(await codeOf(create(wrong, key))).toBe('invalid_request')
    }
    const widening = [{ ...permissions[0], effect: 'deny' }]
    expect(await codeOf(create({ ...body, permissions: widening }, key))).toBe('invalid_request')
  })

  test('nothing without the scope tokens:create', async () => {
    const key = generateSecret('sk')
    await service.putKey(key, { scopes: ['exchange', 'revoke'] })
    await putOrganization({ exchange: { anonymous: true } })
    for (const body of [
      { kind: 'worker', name: 'b' },
      { kind: 'agent', agent_id: 'a' },
      { kind: 'anonymous' },
    ]) {
      expect(await codeOf(create(body, key))).toBe('insufficient_scope')
    }
    await service.putKey(key, { scopes: ['revoke'] })
    expect(await codeOf(create({ kind: 'anonymous' }, key))).toBe('insufficient_scope')
  })

  test('nothing of another organization, and nothing while its own is suspended', async () => {
    await addOrganization(service.identities, anotherOrganizationId)
    const answer = await create({ kind: 'worker', name: 'billing' })
    expect(await service.credentials.get(anotherOrganizationId, String(answer.body['id']))).toBeUndefined()
    await putOrganization({ suspended: true })
    expect(await codeOf(create({ kind: 'worker', name: 'billing' }))).toBe('organization_suspended')
  })

  test('a life within the organization’s bounds', async () => {
    const answer = await create({ kind: 'worker', name: 'billing', ttl: 3601 })
    expect(answer).toMatchObject({ status: 400, body: { code: 'ttl_out_of_range' } })
  })
})

describe('a request that is wrong', () => {
  test.each<[string, object, string]>([
    ['names no kind', { name: 'billing' }, 'kind'],
    ['names a kind that there is not', { kind: 'exchange' }, 'kind'],
    ['is a worker without a name', { kind: 'worker' }, 'name'],
    ['is a worker whose name holds a slash', { kind: 'worker', name: 'a/b' }, 'name'],
    ['is a worker with an agent id', { kind: 'worker', name: 'b', agent_id: 'a' }, 'agent_id'],
    ['is anonymous with a name', { kind: 'anonymous', name: 'b' }, 'name'],
    ['is an agent without an id', { kind: 'agent' }, 'agent_id'],
    [
      'has too long a chain of actors',
      {
        kind: 'agent',
        agent_id: 'a',
        act: { sub: 'a', act: { sub: 'a', act: { sub: 'a', act: { sub: 'a' } } } },
      },
      'act.act.act.act',
    ],
  ])('because it %s is told the field', async (_name, body, field) => {
    const answer = await create(body)
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } })
    expect((answer.body['errors'] as { field: string }[]).map((each) => each.field)).toEqual([field])
  })

  test('is counted and logged by its kind, without a name of anybody', async () => {
    await create({ kind: 'worker', name: 'billing' })
    await create({ kind: 'anonymous' })
    const text = await service.registry.metrics()
    expect(text).toContain('tokens_total{kind="worker",outcome="issued"} 1')
    expect(text).toContain('tokens_total{kind="anonymous",outcome="anonymous_not_allowed"} 1')
    expect(text).not.toContain('billing')
    expect(service.logged.join('\n')).toContain('a credential was refused')
  })
})
