import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { emptyPolicy } from '#core/access/access-policy.ts'
import { generateSecret } from '#core/credentials/secret.ts'
import { allow, deny } from '../fixtures/broker.ts'
import {
  aCredential,
  anApiKey,
  anOrganizationId as org,
  anotherOrganizationId,
  aUser,
} from '../fixtures/records.ts'
import { addOrganization, type Answer, type AppUnderTest, startApp, withMethods } from './app-under-test.ts'

let service: AppUnderTest
const key = generateSecret('sk')

beforeEach(async () => {
  service = await startApp()
  await service.putKey(key, { scopes: ['explain'] })
  await service.identities.put('access-list', org, 'devices', {
    rules: [
      allow(['publish', 'subscribe'], 'devices/{username}/#'),
      deny(['publish'], 'devices/{username}/config'),
      allow(['subscribe'], 'clients/{client_id}/#'),
    ],
  })
  await service.identities.put('access-list', org, 'people', {
    rules: [{ ...allow(['publish', 'subscribe'], 'users/{user_id}/#'), maxQos: 1 }],
  })
  await putUser()
})
afterEach(() => service.close())

const putUser = (over: Parameters<typeof aUser>[2] = {}): Promise<boolean> =>
  service.identities.put(
    'user',
    org,
    'sensor_01',
    aUser('sensor_01', 'x', { access: { ...emptyPolicy, lists: ['devices'] }, ...over }),
  )
const ask = (body: object, secret = key): Promise<Answer> =>
  service.post('/v1/access/explain', { action: 'publish', topic: 'devices/sensor_01/t', ...body }, secret)
const sensor = { kind: 'user', user: 'sensor_01' }

describe('POST /v1/access/explain tells of a user', () => {
  test('which rule allows', async () => {
    expect(await ask(sensor)).toMatchObject({
      status: 200,
      body: {
        allowed: true,
        summary: 'Allowed by rules[0] of devices (devices/{username}/#).',
        max_qos: 2,
        decided_by: 'own',
        rule: {
          list: 'devices',
          index: 0,
          effect: 'allow',
          actions: ['publish', 'subscribe'],
          topic: 'devices/{username}/#',
          filter: 'devices/sensor_01/#',
        },
        access_lists: ['devices'],
        missing_lists: [],
        exceptions: [],
        nearest: [],
        attributes: { username: 'sensor_01', org_id: org, org_short_id: org },
      },
    })
  })

  test('which rule denies, and which come near where none does', async () => {
    const { body: denied } = await ask({ ...sensor, topic: 'devices/sensor_01/config' })
    expect(denied).toMatchObject({ allowed: false, reason: 'deny-rule', rule: { list: 'devices', index: 1 } })
    expect(denied).not.toHaveProperty('max_qos')
    const { body: far } = await ask({ ...sensor, topic: 'devices/sensor_02/t' })
    expect(far).toMatchObject({
      allowed: false,
      reason: 'no-rule',
      nearest: [
        {
          list: 'devices',
          index: 0,
          because: 'value',
          why: 'rules[0] of devices allows devices/{username}/#, and username is "sensor_01".',
        },
      ],
    })
    expect(far).not.toHaveProperty('rule')
  })

  test('with the client id it names, and what is missing without', async () => {
    const asked = { ...sensor, action: 'subscribe', topic: 'clients/c1/#' }
    expect((await ask({ ...asked, client_id: 'c1' })).body).toMatchObject({ allowed: true })
    const { body } = await ask(asked)
    expect(body).toMatchObject({
      allowed: false,
      nearest: [{ because: 'variable', topic: 'clients/{client_id}/#' }],
    })
    expect(body['attributes']).not.toHaveProperty('client_id')
  })

  test('at the QoS and with the retain flag that are asked for', async () => {
    const access = { ...emptyPolicy, rules: [{ ...allow(['publish'], 'a'), maxQos: 1, retain: false }] }
    await putUser({ access })
    expect((await ask({ ...sensor, topic: 'a', qos: 2 })).body).toMatchObject({ reason: 'qos' })
    expect((await ask({ ...sensor, topic: 'a', qos: 1, retain: true })).body).toMatchObject({
      reason: 'retain',
    })
    expect((await ask({ ...sensor, topic: 'a', qos: 1 })).body).toMatchObject({
      allowed: true,
      rule: { list: '(inline)' },
    })
  })

  test('by the whole username too, never of another organization', async () => {
    expect((await ask({ kind: 'user', user: `sensor_01@${org}` })).body).toMatchObject({ allowed: true })
    await addOrganization(service.identities, anotherOrganizationId)
    for (const user of [`sensor_01@${anotherOrganizationId}`, 'sensor_02', 'tmp_1', '@', 'a@b@c']) {
      expect(await ask({ kind: 'user', user })).toMatchObject({
        status: 404,
        body: { code: 'user_not_found' },
      })
    }
  })

  test('that it is suspended', async () => {
    expect((await ask(sensor)).body).not.toHaveProperty('cannot_connect')
    await putUser({ suspended: true })
    expect((await ask(sensor)).body).toMatchObject({ allowed: true, cannot_connect: 'suspended' })
  })

  test('by the defaults of the organization where it has nothing of its own', async () => {
    await putUser({ access: emptyPolicy })
    expect((await ask(sensor)).body).toMatchObject({ allowed: false, access_lists: [] })
    await addOrganization(service.identities, org, { defaultLists: ['devices'] })
    expect((await ask(sensor)).body).toMatchObject({ allowed: true, access_lists: ['devices'] })
  })

  test('which of its lists is missing', async () => {
    await putUser({ access: { ...emptyPolicy, lists: ['devices', 'gone'] } })
    expect((await ask(sensor)).body).toMatchObject({ allowed: false, missing_lists: ['gone'] })
  })
})

describe('of a temporary credential', () => {
  const credential = { kind: 'credential', credential: 'tmp_1', topic: 'users/alice/x' }
  const create = (over: Parameters<typeof aCredential>[2] = {}): Promise<unknown> => {
    const access = {
      ...emptyPolicy,
      lists: ['people'],
      ceilings: [['people']],
      narrowing: [allow(['publish'], 'users/+/x')],
    }
    const record = aCredential('tmp_1', 'x', { attributes: { user_id: 'alice' }, access, ...over })
    return service.credentials.create(org, 'tmp_1', record, 60)
  }

  test('what it may do as whom it was issued to, inside its bounds', async () => {
    await create()
    expect((await ask(credential)).body).toMatchObject({
      allowed: true,
      max_qos: 1,
      attributes: { user_id: 'alice', username: 'tmp_1', org_id: org },
    })
    expect((await ask({ ...credential, topic: 'users/alice/y' })).body).toMatchObject({
      allowed: false,
      decided_by: 'narrowing',
    })
    expect((await ask({ ...credential, credential: `tmp_1@${org}` })).body).toMatchObject({ allowed: true })
  })

  test('with the client id that it is bound to', async () => {
    await create({ clientId: 'c1' })
    const { body } = await ask(credential)
    expect(body).toMatchObject({ attributes: { client_id: 'c1' } })
    expect(body).not.toHaveProperty('cannot_connect')
    expect((await ask({ ...credential, client_id: 'c2' })).body).toMatchObject({
      cannot_connect: 'client-id',
    })
  })

  test('nothing when it is gone', async () => {
    await create()
    service.pass(60_000)
    for (const id of ['tmp_1', 'tmp_2', 'sensor_01', `tmp_1@${anotherOrganizationId}`]) {
      expect(await ask({ ...credential, credential: id })).toMatchObject({
        status: 404,
        body: { code: 'credential_not_found' },
      })
    }
  })
})

describe('of somebody who does not exist', () => {
  const somebody = { kind: 'identity', access_lists: ['people'], topic: 'users/alice/x' }

  test('what lists would give to whoever has these attributes', async () => {
    expect((await ask({ ...somebody, attributes: { user_id: 'alice' } })).body).toMatchObject({
      allowed: true,
    })
    expect((await ask({ ...somebody, attributes: { user_id: 'bob' } })).body).toMatchObject({
      allowed: false,
    })
    expect((await ask(somebody)).body).toMatchObject({ allowed: false, nearest: [{ because: 'variable' }] })
    const device = { kind: 'identity', access_lists: ['devices'], topic: 'devices/new/t' }
    expect((await ask({ ...device, attributes: { username: 'new' } })).body).toMatchObject({ allowed: true })
    const client = { ...device, action: 'subscribe', topic: 'clients/c/x' }
    expect((await ask({ ...client, client_id: 'c' })).body).toMatchObject({ allowed: true })
  })

  test('that a list is missing', async () => {
    expect((await ask({ ...somebody, access_lists: ['gone'] })).body).toMatchObject({
      missing_lists: ['gone'],
    })
  })

  test('always in the caller’s organization', async () => {
    const { body } = await ask({ ...somebody, attributes: { org_id: anotherOrganizationId } })
    expect(body).toMatchObject({ attributes: { org_id: org, org_short_id: org } })
  })

  test('which attribute no rule can ask for', async () => {
    expect(await ask({ ...somebody, attributes: { usr_id: 'alice', 'claims.room': '1' } })).toMatchObject({
      status: 400,
      body: { code: 'invalid_request', errors: [{ field: 'attributes', value: 'usr_id' }] },
    })
  })
})

describe('nobody is told', () => {
  test('without a key that may ask', async () => {
    expect(await ask(sensor, '')).toMatchObject({ status: 401 })
    expect(await ask(sensor, service.secretKey)).toMatchObject({
      status: 403,
      body: { code: 'insufficient_scope' },
    })
    const publishable = generateSecret('pk')
    await service.putKey(publishable, {
      type: 'publishable',
      scopes: ['explain'],
      origins: ['https://a.example'],
    })
    const headers = { origin: 'https://a.example' }
    const body = { ...sensor, action: 'publish', topic: 'a' }
    expect(await service.post('/v1/access/explain', body, publishable, headers)).toMatchObject({
      status: 403,
    })
  })

  test('of the users of another organization', async () => {
    const foreign = generateSecret('sk')
    await addOrganization(service.identities, anotherOrganizationId)
    const record = anApiKey('own', foreign, { scopes: ['explain'] }, anotherOrganizationId)
    await service.identities.put('api-key', anotherOrganizationId, 'own', record)
    expect(await ask(sensor, foreign)).toMatchObject({ status: 404, body: { code: 'user_not_found' } })
    expect(await ask({ kind: 'user', user: `sensor_01@${org}` }, foreign)).toMatchObject({ status: 404 })
  })

  test('when the store does not answer', async () => {
    const getMany = (): Promise<never> => Promise.reject(new Error('away'))
    const other = await startApp({ identities: withMethods(service.identities, { getMany }) })
    const answer = await other.post('/v1/access/explain', { ...sensor, action: 'publish', topic: 'a' }, key)
    expect(answer.status).toBeGreaterThanOrEqual(500)
    await other.close()
  })

  test.each([
    [{ kind: 'nobody' }, 'kind'],
    [{ ...sensor, action: 'read' }, 'action'],
    [{ ...sensor, topic: '' }, 'topic'],
    [{ ...sensor, qos: 3 }, 'qos'],
    [{ ...sensor, credential: 'tmp_1' }, 'credential'],
    [{ kind: 'credential' }, 'credential'],
  ])('what it is about: %j', async (body, field) => {
    const { status, body: answer } = await ask(body)
    expect(status).toBe(400)
    expect(answer).toMatchObject({ code: 'invalid_request', errors: [{ field }] })
  })
})
