import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { secretKindOf } from '#core/credentials/secret.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { aUsersWorld, org, type UsersAnswer, type UsersWorld } from './users-world.ts'

let world: UsersWorld
beforeEach(async () => {
  world = await aUsersWorld()
})

const code = ({ status, body }: UsersAnswer) => [status, body.code]
const sensor = { username: 'sensor_01', access_lists: ['devices'] }
const manifestsOf = async (): Promise<string[]> =>
  (await readdir(join(world.manifests, 'users-api/default')).catch(() => [])).toSorted()

describe('a permanent user', () => {
  test('is made, connects, is changed, and is gone together with its connection', async () => {
    const created = await world.create(sensor)
    expect(created.status).toBe(201)
    const { password, created_at, ...rest } = created.body
    expect(secretKindOf(password)).toBe('mp')
    expect(Date.parse(created_at)).toBeGreaterThan(Date.now() - 60_000)
    expect(rest).toEqual({
      name: 'sensor_01',
      username: `sensor_01@${org}`,
      status: 'active',
      access_lists: ['devices'],
      access: [],
      limits: {},
      suspended: false,
      created_by: 'all',
      organization: org,
      endpoints: { mqtts: expect.stringMatching(/^mqtts:/), wss: expect.stringMatching(/^wss:/) },
    })
    const client = await world.connect(rest.username, password)
    await client.subscribe('devices/sensor_01/#')
    await expect(client.subscribe('news/#')).rejects.toThrow('Not authorized')

    const access = [{ effect: 'allow', actions: ['subscribe'], topics: ['news/#'] }]
    const changed = await world.call('PATCH', '/v1/users/sensor_01', { access, limits: { connections: 2 } })
    expect([changed.status, changed.body.access, changed.body.limits]).toEqual([
      200,
      access,
      { connections: 2 },
    ])
    expect(changed.body).not.toHaveProperty('password')
    await client.subscribe('news/#')

    expect((await world.call('DELETE', `/v1/users/sensor_01@${org}`)).status).toBe(204)
    await eventually('it is closed', () => client.isClosed)
    expect(code(await world.call('GET', '/v1/users/sensor_01'))).toEqual([404, 'user_not_found'])
    expect(code(await world.call('DELETE', '/v1/users/sensor_01'))).toEqual([404, 'user_not_found'])
    await expect(world.connect(rest.username, password)).rejects.toThrow(/not authorized|Bad User/i)
    expect(await manifestsOf()).toEqual([])
    expect((await world.create(sensor)).status).toBe(201)
  })

  test('is a resource, which holds a verifier and no password', async () => {
    const { body } = await world.create(sensor)
    const [file = ''] = await manifestsOf()
    const text = await readFile(join(world.manifests, 'users-api/default', file), 'utf8')
    expect(file).toMatch(/^user-[a-z2-7]{26}\.yaml$/)
    expect(text).toContain('cloudsignal.app/managed-by: users-api')
    expect(text).toContain('algorithm: sha256')
    expect(text).not.toContain(body.password)
    expect(JSON.stringify(world.logged)).not.toContain(body.password)
  })

  test('gets another password, and the former one is worth nothing', async () => {
    const { body } = await world.create(sensor)
    const client = await world.connect(body.username, body.password)
    const rotated = await world.call('POST', '/v1/users/sensor_01/password')
    expect(rotated.status).toBe(200)
    expect(rotated.body.password).not.toBe(body.password)
    await eventually('it is closed', () => client.isClosed)
    await expect(world.connect(body.username, body.password)).rejects.toThrow(/not authorized|Bad User/i)
    await world.connect(body.username, rotated.body.password)
  })

  test('keeps the former password for an overlap, after which its connections are closed', async () => {
    const { body } = await world.create(sensor)
    const former = await world.connect(body.username, body.password)
    const rotated = await world.call('POST', '/v1/users/sensor_01/password', { overlap: 2 })
    expect([rotated.status, rotated.body.status]).toEqual([200, 'active'])
    const ends = Date.parse(rotated.body.former_password_expires_at)
    const present = await world.connect(body.username, rotated.body.password)
    await world.connect(body.username, body.password)
    await eventually('the former is closed', () => former.isClosed)
    expect(Date.now()).toBeGreaterThanOrEqual(ends - 50)
    await expect(world.connect(body.username, body.password)).rejects.toThrow(/not authorized|Bad User/i)
    expect(present.isClosed).toBe(false)
    expect((await world.call('GET', '/v1/users/sensor_01')).body.status).toBe('active')
  })

  test('has one former password at most, and none after a rotation without overlap', async () => {
    const { body } = await world.create(sensor)
    const second = await world.call('POST', '/v1/users/sensor_01/password', { overlap: 3_600 })
    const third = await world.call('POST', '/v1/users/sensor_01/password', { overlap: 3_600 })
    await expect(world.connect(body.username, body.password)).rejects.toThrow(/not authorized|Bad User/i)
    await world.connect(body.username, second.body.password)
    const last = await world.call('POST', '/v1/users/sensor_01/password', {})
    expect(last.body).not.toHaveProperty('former_password_expires_at')
    for (const { password } of [second.body, third.body]) {
      await expect(world.connect(body.username, password)).rejects.toThrow(/not authorized|Bad User/i)
    }
    await world.connect(body.username, last.body.password)
    const refused = await world.call('POST', '/v1/users/sensor_01/password', { overlap: -1 })
    expect(code(refused)).toEqual([400, 'invalid_request'])
    const unknown = await world.call('POST', '/v1/users/sensor_01/password', { password: 'mine' })
    expect(code(unknown)).toEqual([400, 'invalid_request'])
  })

  test('is suspended, which ends its connections, and let in again', async () => {
    const { body } = await world.create(sensor)
    const client = await world.connect(body.username, body.password)
    const suspended = await world.call('PATCH', '/v1/users/sensor_01', { suspended: true })
    expect([suspended.status, suspended.body.status]).toEqual([200, 'suspended'])
    await eventually('it is closed', () => client.isClosed)
    await expect(world.connect(body.username, body.password)).rejects.toThrow(/not authorized|Bad User/i)
    expect((await world.call('PATCH', '/v1/users/sensor_01', { suspended: false })).body.status).toBe(
      'active',
    )
    await world.connect(body.username, body.password)
  })

  test('loses what a change takes away, and keeps what it does not name', async () => {
    await world.create({ ...sensor, limits: { connections: 2, message_rate: 5 }, suspended: true })
    const { body } = await world.call('PATCH', '/v1/users/sensor_01', { limits: { byte_rate: 7 } })
    expect(body).toMatchObject({ limits: { byte_rate: 7 }, access_lists: ['devices'], suspended: true })
    const empty = await world.call('PATCH', '/v1/users/sensor_01', { limits: {}, access_lists: [] })
    expect(empty.body).toMatchObject({ limits: {}, access_lists: [], suspended: true })
    const shown = await world.call('GET', '/v1/users/sensor_01')
    expect(shown.body).toMatchObject({ limits: {}, access_lists: [], status: 'suspended' })
  })

  test('says why it can do nothing', async () => {
    await world.create({ username: 'idle' })
    const body = await eventually('the condition', async () => {
      const { body } = await world.call('GET', '/v1/users/idle')
      return body.problem === undefined ? undefined : body
    })
    expect(body).toMatchObject({ status: 'active', problem: { reason: 'NoAccess' } })
  })
})

describe('what is refused:', () => {
  test('a name that is taken, here or by a resource that somebody has declared', async () => {
    await world.create(sensor)
    expect(code(await world.create(sensor))).toEqual([409, 'user_exists'])
    expect(code(await world.create({ ...sensor, suspended: true }))).toEqual([409, 'user_exists'])
    expect(code(await world.create({ username: 'declared' }))).toEqual([409, 'user_exists'])
    expect((await world.create({ ...sensor, username: 'Sensor_01' })).status).toBe(201)
    expect(await manifestsOf()).toHaveLength(2)
  })

  test('whatever somebody has declared: it is neither shown nor touched', async () => {
    expect((await world.call('GET', '/v1/users')).body).toEqual({ users: [] })
    for (const [method, path, body] of [
      ['GET', '/v1/users/declared', undefined],
      ['PATCH', '/v1/users/declared', { suspended: true }],
      ['POST', '/v1/users/declared/password', undefined],
      ['DELETE', '/v1/users/declared', undefined],
    ] as const) {
      expect(code(await world.call(method, path, body))).toEqual([404, 'user_not_found'])
    }
  })

  test('a resource that carries the label and lies in a file of somebody’s own', async () => {
    await world.create(sensor)
    const [file = ''] = await manifestsOf()
    const folder = join(world.manifests, 'users-api/default')
    const text = (await readFile(join(folder, file), 'utf8'))
      .replaceAll('sensor_01', 'moved')
      .replace(/name: user-\w+/, `name: moved`)
    await writeFile(join(world.manifests, 'moved.yaml'), text)
    await eventually(
      'it is there',
      () => world.standalone.host.get('MqttUser', 'default', 'moved') !== undefined,
    )
    const { body } = await world.call('GET', '/v1/users')
    expect(body.users.map(({ name }) => name)).toEqual(['sensor_01'])
  })

  test('a key without the scope, and none at all', async () => {
    for (const [method, path, body] of [
      ['POST', '/v1/users', sensor],
      ['GET', '/v1/users', undefined],
      ['GET', '/v1/users/a', undefined],
      ['PATCH', '/v1/users/a', { suspended: true }],
      ['POST', '/v1/users/a/password', undefined],
      ['DELETE', '/v1/users/a', undefined],
    ] as const) {
      expect(code(await world.call(method, path, body, 'none'))).toEqual([403, 'insufficient_scope'])
      expect(code(await world.call(method, path, body, 'cs_sk_x'))).toEqual([401, 'invalid_api_key'])
    }
    expect(await manifestsOf()).toEqual([])
  })

  test.each([
    ['a name that is none', { username: 'a b' }, 'username'],
    ['a name of temporary credentials', { username: 'tmp_a' }, 'username'],
    ['a password of the caller', { username: 'a', password: 'x' }, 'password'],
    ['another organization’s namespace', { username: 'a', namespace: 'x' }, 'namespace'],
    [
      'a topic that is none',
      { username: 'a', access: [{ effect: 'allow', actions: ['publish'], topics: ['a#'] }] },
      'access[0].topics[0]',
    ],
    [
      'a deny with a limit',
      { username: 'a', access: [{ effect: 'deny', actions: ['publish'], topics: ['a'], maxQos: 0 }] },
      'access',
    ],
    ['a list whose name can be none', { username: 'a', access_lists: ['B_'] }, 'access_lists[0]'],
    ['a limit below nothing', { username: 'a', limits: { message_rate: -1 } }, 'limits.message_rate'],
  ])('%s', async (_, body, field) => {
    const answer = await world.create(body)
    expect(code(answer)).toEqual([400, 'invalid_request'])
    expect(answer.body.errors).toMatchObject([{ field }])
    expect(await manifestsOf()).toEqual([])
  })

  test('a change to nothing, and to what can not be', async () => {
    await world.create(sensor)
    const patch = (body: object) => world.call('PATCH', '/v1/users/sensor_01', body)
    expect(code(await patch({}))).toEqual([400, 'invalid_request'])
    expect(code(await patch({ username: 'other' }))).toEqual([400, 'invalid_request'])
    expect(code(await patch({ access_lists: ['nowhere'] }))).toEqual([422, 'access_list_not_found'])
    const topics = await patch({ access: [{ effect: 'allow', actions: ['publish'], topics: ['a#'] }] })
    expect(code(topics)).toEqual([400, 'invalid_request'])
  })

  test('a list that is not there, and a user of another organization', async () => {
    expect(code(await world.create({ username: 'a', access_lists: ['nowhere'] }))).toEqual([
      422,
      'access_list_not_found',
    ])
    await world.create(sensor)
    expect(code(await world.call('GET', '/v1/users/sensor_01@org_aaaabbbbcccc'))).toEqual([
      404,
      'user_not_found',
    ])
  })

  test('one more than the organization may have, whoever made the others', async () => {
    world = await aUsersWorld({ users: 2 })
    expect((await world.create(sensor)).status).toBe(201)
    const more = { username: 'more' }
    expect(code(await world.create(more))).toEqual([403, 'user_limit_reached'])
    await world.call('DELETE', '/v1/users/sensor_01')
    expect((await world.create(more)).status).toBe(201)
  })

  test('of creations at the same moment only those that fit are left', async () => {
    world = await aUsersWorld({ users: 3 })
    const names = ['a', 'b', 'c', 'd', 'e']
    const answers = await Promise.all(names.map((username) => world.create({ ...sensor, username })))
    const statuses = answers.map(({ status }) => status)
    // Beside the one that is declared.
    expect(statuses.toSorted()).toEqual([201, 201, 403, 403, 403])
    const { body } = await world.call('GET', '/v1/users')
    const made = names.filter((_, index) => statuses[index] === 201)
    expect(body.users.map(({ name }) => name).toSorted()).toEqual(made)
  })
})

describe('a key with a ceiling', () => {
  test('makes users that can do no more than it, whatever they refer to', async () => {
    const access = [{ effect: 'allow', actions: ['subscribe'], topics: ['#'] }]
    const { status, body } = await world.create({ username: 'a', access_lists: ['wide'], access }, 'tenant')
    expect(status).toBe(201)
    const client = await world.connect(body.username, body.password)
    await client.subscribe('tenants/a/x')
    await expect(client.subscribe('tenants/b/x')).rejects.toThrow('Not authorized')
    await expect(client.subscribe('#')).rejects.toThrow('Not authorized')
    // Nor by a key without one: the bound stays.
    await world.call('PATCH', '/v1/users/a', { access_lists: ['wide', 'other'] })
    await expect(client.subscribe('tenants/b/x')).rejects.toThrow('Not authorized')
  })

  test('sees and touches users under the same ceiling only: not even their passwords are in reach', async () => {
    await world.create({ username: 'wide', access_lists: ['wide'] })
    await world.create({ username: 'theirs' }, 'other')
    await world.create({ username: 'own' }, 'tenant')
    const names = async (key: string): Promise<string[]> =>
      (await world.call('GET', '/v1/users', undefined, key)).body.users.map(({ name }) => name)
    expect(await names('tenant')).toEqual(['own'])
    expect(await names('other')).toEqual(['theirs'])
    expect((await names('all')).toSorted()).toEqual(['own', 'theirs', 'wide'])
    for (const name of ['wide', 'theirs']) {
      for (const [method, path, body] of [
        ['GET', `/v1/users/${name}`, undefined],
        ['PATCH', `/v1/users/${name}`, { suspended: true }],
        ['POST', `/v1/users/${name}/password`, undefined],
        ['DELETE', `/v1/users/${name}`, undefined],
      ] as const) {
        expect(code(await world.call(method, path, body, 'tenant'))).toEqual([404, 'user_not_found'])
      }
      expect(code(await world.create({ username: name }, 'tenant'))).toEqual([409, 'user_exists'])
    }
    expect((await world.call('POST', '/v1/users/own/password', undefined, 'tenant')).status).toBe(200)
  })
})

describe('an Idempotency-Key', () => {
  const once = { 'idempotency-key': 'f3c1a2b4-0001' }

  test('gives the same answer to the same request, also when both come at once', async () => {
    const [first, second] = await Promise.all([
      world.create(sensor, 'all', once),
      world.create(sensor, 'all', once),
    ])
    const third = await world.create(sensor, 'all', once)
    expect([first, second, third].map(({ status }) => status)).toEqual([201, 201, 201])
    expect(second.body).toEqual(first.body)
    expect(third.body).toEqual(first.body)
    await world.connect(first.body.username, third.body.password)
    const events = world.logged.filter(({ event }) => event === 'user.created')
    expect(events).toHaveLength(1)
  })

  test('is of no use for another request, another key, or once the password is another', async () => {
    await world.create(sensor, 'all', once)
    expect(code(await world.create({ ...sensor, suspended: true }, 'all', once))).toEqual([
      422,
      'idempotency_key_reused',
    ])
    expect(code(await world.create(sensor, 'all', { 'idempotency-key': 'f3c1a2b4-0002' }))).toEqual([
      409,
      'user_exists',
    ])
    expect(code(await world.create(sensor))).toEqual([409, 'user_exists'])
    expect(code(await world.create(sensor, 'tenant', once))).toEqual([409, 'user_exists'])
    expect(code(await world.create(sensor, 'all', { 'idempotency-key': 'short' }))).toEqual([
      400,
      'invalid_request',
    ])
    await world.call('POST', '/v1/users/sensor_01/password')
    expect(code(await world.create(sensor, 'all', once))).toEqual([409, 'user_exists'])
  })

  test('leads to another password in another user', async () => {
    const first = await world.create(sensor, 'all', once)
    const other = await world.create({ ...sensor, username: 'sensor_02' }, 'all', once)
    expect(other.body.password).not.toBe(first.body.password)
    await world.call('DELETE', '/v1/users/sensor_01')
    const again = await world.create(sensor, 'all', once)
    expect(again.body.password).not.toBe(first.body.password)
  })
})

test('users are listed a page at a time', async () => {
  const all = ['a', 'b', 'c', 'd', 'e']
  for (const username of all) await world.create({ username, access_lists: ['devices'] })
  const seen: string[] = []
  let cursor = ''
  for (let pages = 0; pages < 3; pages += 1) {
    const { body } = await world.call('GET', `/v1/users?limit=2${cursor}`)
    seen.push(...body.users.map(({ name }) => name))
    expect(body.users.every(({ status }) => status === 'active')).toBe(true)
    expect(JSON.stringify(body)).not.toMatch(/digest|password/)
    cursor = `&cursor=${body.next}`
    expect(body.next === undefined).toBe(pages === 2)
  }
  expect(seen.toSorted()).toEqual(all)
  const broken = await world.call('GET', '/v1/users?cursor=AAAA')
  expect(code(broken)).toEqual([400, 'invalid_request'])
})

test('each change is an audit event, and no refusal is one', async () => {
  await world.create(sensor)
  await world.create(sensor)
  await world.call('PATCH', '/v1/users/sensor_01', { suspended: true, access_lists: [] })
  await world.call('POST', '/v1/users/sensor_01/password')
  await world.call('DELETE', '/v1/users/sensor_01')
  const events = world.logged.filter(({ event }) => String(event).startsWith('user.'))
  const common = { organization: org, apiKey: 'all', principal: 'user:sensor_01' }
  expect(events).toMatchObject([
    { event: 'user.created', ...common },
    { event: 'user.changed', ...common, fields: ['access_lists', 'suspended'] },
    { event: 'user.password-rotated', ...common },
    { event: 'user.deleted', ...common },
  ])
})
