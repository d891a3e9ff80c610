import { afterAll, beforeAll, expect, test } from 'vitest'
import { Stage } from '../../standalone/demo/stage.ts'
import { sampleKeys } from '../../standalone/samples.ts'
import { eventually } from '../fixtures/eventually.ts'

/** Whoever asks for more than is theirs, seen from where it would matter: at the broker. */
let stage: Stage
let key: string
let foreignKey: string

const manifests = `apiVersion: cloudsignal.app/v1alpha1
kind: ApiKey
metadata: { name: agents }
spec:
  organizationRef: { name: acme }
  type: secret
  scopes: [exchange, tokens:create]
  accessListRefs: [{ name: people }]
  attributes: [team]
  agentIdPattern: planner-[0-9]+
---
apiVersion: cloudsignal.app/v1alpha1
kind: ApiKey
metadata: { name: foreign, namespace: globex }
spec:
  organizationRef: { name: globex }
  type: secret
  scopes: [exchange, tokens:create, revoke]
`

beforeAll(async () => {
  stage = await Stage.set()
  await stage.edit('keys.yaml', () => manifests)
  const keyOf = (name: string): Promise<string> =>
    eventually(`the key ${name}`, async () => {
      const keys = await sampleKeys(stage.standalone.host)
      return keys.find(({ resource }) => resource.metadata.name === name)?.secret
    })
  key = await keyOf('agents')
  foreignKey = await keyOf('foreign')
})
afterAll(() => stage.strike())

interface Answer {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
}

async function ask(path: string, body: object, by = key, method = 'POST'): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${stage.standalone.ports.http}${path}`, {
    method,
    headers: { authorization: `Bearer ${by}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  const text = await response.text()
  return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as Answer['body'] }
}

/** What somebody with this credential may do, of what alice, an agent and a device would like to. */
async function mayDo({ body }: Answer): Promise<Record<string, boolean>> {
  const client = await stage.connect(
    { username: String(body['username']), password: String(body['password']) },
    'tls',
    5,
  )
  const tried = {
    'publish to alice’s': () => client.publish('users/alice/notes', 'x'),
    'write alice’s inbox': () => client.publish('users/alice/inbox/1', 'x'),
    'publish to bob’s': () => client.publish('users/bob/notes', 'x'),
    'publish for a device': () => client.publish('devices/sensor_01/state', 'x'),
    'read everything': () => client.subscribe('#'),
    'read all users': () => client.subscribe('users/+/notes'),
  }
  const done: Record<string, boolean> = {}
  for (const [name, attempt] of Object.entries(tried)) {
    done[name] = await attempt().then(
      () => true,
      () => false,
    )
  }
  client.close()
  return done
}

const onlyHerOwn = {
  'publish to alice’s': true,
  'write alice’s inbox': false,
  'publish to bob’s': false,
  'publish for a device': false,
  'read everything': false,
  'read all users': false,
}
const nothing = { ...onlyHerOwn, 'publish to alice’s': false }

const wide = [{ actions: ['publish', 'subscribe'], topics: ['#', 'users/+/#', 'devices/#'] }]

test('an exchange that asks for more gets what the person has', async () => {
  const token = await stage.issuer.tokenFor('alice')
  const answer = await ask('/v1/token/exchange', { provider: 'demo', token, permissions: wide })
  expect(answer.status).toBe(200)
  expect(await mayDo(answer)).toEqual(onlyHerOwn)
})

test('an exchange that asks for less gets less', async () => {
  const token = await stage.issuer.tokenFor('alice')
  const permissions = [{ actions: ['subscribe'], topics: ['users/{user_id}/#'] }]
  const answer = await ask('/v1/token/exchange', { provider: 'demo', token, permissions })
  expect(await mayDo(answer)).toEqual(nothing)
})

test('an agent on behalf of a person gets no more than the person, whatever lists it names', async () => {
  const person = { provider: 'demo', token: await stage.issuer.tokenFor('alice') }
  const agent = { kind: 'agent', agent_id: 'planner-1', on_behalf_of: person, permissions: wide }
  expect(await mayDo(await ask('/v1/tokens', agent))).toEqual(onlyHerOwn)
  const named = { ...agent, access_lists: ['backend', 'devices'] }
  const answer = await ask('/v1/tokens', named)
  expect(answer.status === 201 ? await mayDo(answer) : nothing).not.toMatchObject({
    'publish to bob’s': true,
  })
})

test('a worker gets nothing beyond the ceiling of its key', async () => {
  const answer = await ask('/v1/tokens', { kind: 'worker', name: 'billing', access_lists: ['backend'] })
  expect(answer.status === 201 ? await mayDo(answer) : nothing).toEqual(nothing)
})

test.each([
  ['a forged agent id', { kind: 'agent', agent_id: 'auditor' }, 403, 'agent_id_not_allowed'],
  [
    'a forged agent that handed the task on',
    { kind: 'agent', agent_id: 'planner-1', act: { sub: 'auditor' } },
    403,
    'agent_id_not_allowed',
  ],
  [
    'an attribute that the key may not set',
    { kind: 'worker', name: 'x', attributes: { role: 'admin' } },
    403,
    'attribute_not_allowed',
  ],
  [
    'the name of a person',
    { kind: 'worker', name: 'x', attributes: { user_id: 'alice' } },
    403,
    'attribute_not_allowed',
  ],
  [
    'an agent id among the attributes',
    { kind: 'worker', name: 'x', attributes: { agent_id: 'a' } },
    403,
    'attribute_not_allowed',
  ],
  ['a principal', { kind: 'worker', name: 'x', principal: 'user:backend' }, 400, 'invalid_request'],
  ['a username', { kind: 'worker', name: 'x', username: 'backend' }, 400, 'invalid_request'],
  [
    'another organization',
    { kind: 'worker', name: 'x', organization: 'org_b4gq2n6wz5ya' },
    400,
    'invalid_request',
  ],
] as const)('%s is refused', async (_name, body, status, code) => {
  const answer = await ask('/v1/tokens', body)
  expect([answer.status, answer.body['code']]).toEqual([status, code])
  expect(answer.body).not.toHaveProperty('password')
})

test('a key of another organization reaches nothing of this one', async () => {
  const token = await stage.issuer.tokenFor('alice')
  const exchange = await ask('/v1/token/exchange', { provider: 'demo', token }, foreignKey)
  expect([exchange.status, exchange.body['code']]).toEqual([404, 'provider_not_found'])
  const hosted = { organization_id: 'org_k7xm4pqr2n5t', token }
  expect((await ask('/v2/tokens/exchange', hosted, foreignKey)).status).toBe(401)
  const lists = { kind: 'worker', name: 'x', access_lists: ['people'] }
  expect((await ask('/v1/tokens', lists, foreignKey)).body['code']).toBe('access_list_not_found')

  const given = await ask('/v1/token/exchange', { provider: 'demo', token })
  const gone = await ask(`/v1/tokens/${String(given.body['id'])}`, {}, foreignKey, 'DELETE')
  expect([403, 404]).toContain(gone.status)
  expect(await mayDo(given)).toEqual(onlyHerOwn)

  const own = await ask('/v1/tokens', { kind: 'worker', name: 'x' }, foreignKey)
  expect(String(own.body['username'])).toMatch(/@org_b4gq2n6wz5ya$/)
  const disguised = String(own.body['username']).replace('org_b4gq2n6wz5ya', 'org_k7xm4pqr2n5t')
  const password = String(own.body['password'])
  await expect(stage.connect({ username: disguised, password }, 'tls', 5)).rejects.toThrow()
})
