import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ProviderRecord } from '#core/identity/provider-record.ts'
import { type CapturingAudit, capturingAudit } from '../../fixtures/audit.ts'
import { jwksOf, signWith } from '../../fixtures/issuer.ts'
import { providerSamples } from '../../fixtures/provider-samples.ts'
import { anOrganizationId as org, anotherOrganizationId, aProvider } from '../../fixtures/records.ts'
import { sealedFor, testSealing } from '../../fixtures/sealing.ts'
import { genuineKeys } from '../../fixtures/token-forgeries.ts'
import { aWebhookSecret, type SentWebhookOptions, webhookHeaders } from '../../fixtures/webhooks.ts'
import { type Answer, type AppUnderTest, send, startApp, withMethods } from '../app-under-test.ts'

const secret = aWebhookSecret()
let service: AppUnderTest
let audited: CapturingAudit

const providerOf = (type: 'clerk' | 'supabase', secrets: Record<string, string> = { webhook: secret }) => {
  const record = aProvider({ uid: `uid-${type}`, type, settings: providerSamples[type].settings })
  return { ...record, secrets: sealedFor(record, secrets) } satisfies ProviderRecord
}

beforeEach(async () => {
  audited = capturingAudit()
  service = await startApp({
    sealing: testSealing,
    audit: audited.audit,
    fetchDocument: async () => ({ text: JSON.stringify(jwksOf(genuineKeys)) }),
  })
  for (const type of ['clerk', 'supabase'] as const) {
    await service.identities.put('provider', org, type, providerOf(type))
  }
})
afterEach(() => service.close())

const seconds = (): number => Math.floor(service.now() / 1_000)

interface Sending extends Partial<SentWebhookOptions> {
  readonly to?: string
  readonly secret?: string
}

const post = (event: unknown, { to = 'clerk', ...over }: Sending = {}): Promise<Answer> => {
  const body = typeof event === 'string' ? event : JSON.stringify(event)
  const prefix = to.endsWith('supabase') ? 'webhook' : 'svix'
  const signed = webhookHeaders(over.secret ?? secret, body, { prefix, at: seconds(), ...over })
  const path = to.includes('/') ? to : `${org}/${to}`
  return send(service.app, 'POST', `/v1/webhooks/${path}`, body, signed)
}

async function exchange(provider: 'clerk' | 'supabase', over: Record<string, unknown> = {}): Promise<Answer> {
  const sample = providerSamples[provider]
  const header = sample.header === undefined ? {} : { header: sample.header }
  const token = await signWith(genuineKeys, { ...sample.claims(seconds()), ...over }, header)
  return service.exchange({ provider, token })
}
const issued = async (...given: Parameters<typeof exchange>): Promise<string> => {
  const answer = await exchange(...given)
  expect(answer.status).toBe(200)
  return String(answer.body['id'])
}
const lives = async (id: string): Promise<boolean> => (await service.credentials.get(org, id)) !== undefined

const user = { id: 'user_2abcDEF' }
const session = { id: 'sess_2abcDEF', user_id: user.id }
const deleted = { type: 'user.deleted', data: { ...user, deleted: true, object: 'user' } }

describe('a webhook of Clerk', () => {
  test.each([
    ['a user who was deleted', deleted],
    ['a user who was banned', { type: 'user.updated', data: { ...user, banned: true } }],
  ])('ends all of %s, also what the same token would give', async (_what, event) => {
    const [theirs, anothers] = [await issued('clerk'), await issued('clerk', { sub: 'user_other' })]
    expect(await post(event)).toMatchObject({ status: 200, body: { outcome: 'revoked' } })
    expect([await lives(theirs), await lives(anothers)]).toEqual([false, true])
    expect(await exchange('clerk')).toMatchObject({ status: 401, body: { code: 'token_revoked' } })
    expect((await exchange('clerk', { sub: 'user_other' })).status).toBe(200)
  })

  test.each(['session.ended', 'session.removed', 'session.revoked'])(
    'ends what was exchanged in a session: %s',
    async (type) => {
      const [here, elsewhere] = [await issued('clerk'), await issued('clerk', { sid: 'sess_other' })]
      expect((await post({ type, data: session })).body).toEqual({ outcome: 'revoked' })
      expect([await lives(here), await lives(elsewhere)]).toEqual([false, true])
      expect((await exchange('clerk')).body['code']).toBe('session_ended')
      expect((await exchange('clerk', { sid: 'sess_other' })).status).toBe(200)
    },
  )

  test('ends agents that act for the person in the session, and no others', async () => {
    const agent = async (id: string, sid?: string): Promise<string> => {
      const claims = { ...providerSamples.clerk.claims(seconds()), ...(sid === undefined ? {} : { sid }) }
      const token = await signWith(genuineKeys, claims, { header: providerSamples.clerk.header ?? {} })
      const answer = await service.post('/v1/tokens', {
        kind: 'agent',
        agent_id: id,
        on_behalf_of: { provider: 'clerk', token },
      })
      expect(answer.status).toBe(201)
      return String(answer.body['id'])
    }
    const own = await service.post('/v1/tokens', { kind: 'agent', agent_id: 'planner' })
    const [acting, other] = [await agent('planner'), await agent('planner', 'sess_other')]
    await post({ type: 'session.ended', data: session })
    expect([await lives(acting), await lives(other), await lives(String(own.body['id']))]).toEqual([
      false,
      true,
      true,
    ])
    await post(deleted)
    expect([await lives(other), await lives(String(own.body['id']))]).toEqual([false, true])
  })

  test.each([
    ['of a type that nothing follows from', { type: 'user.created', data: user }],
    ['of a user who is not banned', { type: 'user.updated', data: { ...user, banned: false } }],
    ['of a session that begins', { type: 'session.created', data: session }],
    ['without what it is about', { type: 'user.deleted' }],
    ['with a list for an id', { type: 'user.deleted', data: { id: [user.id] } }],
    ['of an organization', { type: 'organization.deleted', data: { id: user.id } }],
  ])('%s is taken, and changes nothing', async (_what, event) => {
    const id = await issued('clerk')
    expect(await post(event)).toMatchObject({ status: 200, body: { outcome: 'ignored' } })
    expect(await lives(id)).toBe(true)
  })

  test('does not touch a person of the same id at another provider', async () => {
    const sub = '8f0f2a3c-5a0e-4c8e-9d1b-0c6f4e1d2b3a'
    const id = await issued('supabase')
    await post({ type: 'user.deleted', data: { id: sub } })
    expect(await lives(id)).toBe(true)
  })

  test('is written down, with what it said and whom it meant', async () => {
    await post(deleted)
    await post({ type: 'session.ended', data: session })
    expect(audited.lines).toMatchObject([
      {
        event: 'credential.revoked',
        organization: org,
        provider: 'clerk',
        target: 'subject',
        subject: user.id,
        webhook: 'user.deleted',
      },
      { event: 'credential.revoked', target: 'session', session: session.id, webhook: 'session.ended' },
    ])
    expect(JSON.stringify(audited.lines)).not.toContain('whsec')
  })
})

describe('a webhook of Supabase', () => {
  const id = '8f0f2a3c-5a0e-4c8e-9d1b-0c6f4e1d2b3a'
  const change = (table: string, type: string, over: object): object => ({
    schema: 'auth',
    table,
    type,
    ...over,
  })
  const later = (): string => new Date(service.now() + 60_000).toISOString()
  const earlier = (): string => new Date(service.now() - 60_000).toISOString()

  test.each<[string, () => object, boolean]>([
    ['a user who was deleted', () => change('users', 'DELETE', { record: null, old_record: { id } }), true],
    [
      'a user who is banned',
      () => change('users', 'UPDATE', { record: { id, banned_until: later() } }),
      true,
    ],
    ['a user who was', () => change('users', 'UPDATE', { record: { id, banned_until: earlier() } }), false],
    ['a user who is not', () => change('users', 'UPDATE', { record: { id, banned_until: null } }), false],
    [
      'a user marked as deleted',
      () => change('users', 'UPDATE', { record: { id, deleted_at: earlier() } }),
      true,
    ],
    ['a new user', () => change('users', 'INSERT', { record: { id } }), false],
    [
      'a table of the application',
      () => ({ ...change('users', 'DELETE', { old_record: { id } }), schema: 'public' }),
      false,
    ],
  ])('of %s', async (_what, event, ends) => {
    const credential = await issued('supabase')
    const answer = await post(event(), { to: 'supabase' })
    expect(answer).toMatchObject({ status: 200, body: { outcome: ends ? 'revoked' : 'ignored' } })
    expect(await lives(credential)).toBe(!ends)
  })

  test('ends a session that was deleted, for as long as its tokens may live', async () => {
    const old_record = { id: '0b6f4b6e-7d57-4c55-8f55-5b9b7f3f4a11', user_id: id }
    const [here, elsewhere] = [await issued('supabase'), await issued('supabase', { session_id: 's-2' })]
    await post(change('sessions', 'DELETE', { old_record }), { to: 'supabase' })
    expect([await lives(here), await lives(elsewhere)]).toEqual([false, true])
    service.pass(6 * 86_400_000)
    expect((await exchange('supabase')).body['code']).toBe('session_ended')
  })

  test('has its own headers', async () => {
    const event = change('users', 'DELETE', { old_record: { id } })
    expect((await post(event, { to: 'supabase', prefix: 'svix' })).status).toBe(401)
    expect((await post(event, { to: 'supabase' })).status).toBe(200)
  })
})

describe('what is not genuine has one answer:', () => {
  const refusalOf = async (sending: Promise<Answer>): Promise<string> => {
    const { status, text, headers } = await sending
    return `${status} ${String(headers['content-type'])} ${text.replace(/"request_id":"[^"]*",?/, '')}`
  }

  test('forged, replayed, late, of nobody, or where webhooks are not set up', async () => {
    const id = await issued('clerk')
    const used = { id: 'msg_used' }
    await post({ type: 'user.created', data: user }, used)
    await service.identities.put('provider', org, 'bare', { ...providerOf('clerk'), secrets: {} })
    const body = JSON.stringify(deleted)
    const good = webhookHeaders(secret, body, { at: seconds() })
    const answers = [
      await refusalOf(post(deleted, { secret: aWebhookSecret() })),
      await refusalOf(post(deleted, used)),
      await refusalOf(post(deleted, { at: seconds() - 301 })),
      await refusalOf(post(deleted, { signature: '' })),
      await refusalOf(send(service.app, 'POST', `/v1/webhooks/${org}/clerk`, body, {})),
      await refusalOf(send(service.app, 'POST', `/v1/webhooks/${org}/clerk`, `${body} `, good)),
      await refusalOf(post(deleted, { to: 'bare' })),
      await refusalOf(post(deleted, { to: 'oidc' })),
      await refusalOf(post(deleted, { to: 'nobody' })),
      await refusalOf(post(deleted, { to: `${anotherOrganizationId}/clerk` })),
      await refusalOf(post(deleted, { to: 'org_none/clerk' })),
    ]
    expect(new Set(answers).size).toBe(1)
    expect(answers[0]).toContain('"code":"invalid_webhook"')
    expect(answers[0]).toMatch(/^401 /)
    expect(await lives(id)).toBe(true)
    const reasons = audited.lines.flatMap((line) => (line.event === 'webhook.refused' ? [line.reason] : []))
    expect(reasons).toEqual([
      'wrong-signature',
      'replayed',
      'out-of-time',
      'wrong-signature',
      'malformed-headers',
      'wrong-signature',
      'not-configured',
      'not-configured',
      'not-configured',
      'not-configured',
      'not-configured',
    ])
  })

  test('a replay, also of what was revoked, until its time is over anyway', async () => {
    const sent = { id: 'msg_1', at: seconds() + 290 }
    expect((await post(deleted, sent)).status).toBe(200)
    for (const wait of [0, 60_000, 500_000]) {
      service.pass(wait)
      expect((await post(deleted, sent)).status).toBe(401)
    }
    // Sent again later by who signs it, with a new time.
    service.pass(3_600_000)
    expect((await post(deleted, { id: 'msg_1' })).status).toBe(200)
  })

  test('a secret that was sealed for another provider, or another organization, opens nothing', async () => {
    const { secrets } = providerOf('supabase')
    await service.identities.put('provider', org, 'moved', { ...providerOf('clerk'), secrets })
    expect((await post(deleted, { to: 'moved' })).status).toBe(503)
    await service.identities.put('provider', anotherOrganizationId, 'clerk', providerOf('clerk'))
    expect((await post(deleted, { to: `${anotherOrganizationId}/clerk` })).status).toBe(503)
  })
})

describe('a webhook that could not be carried out', () => {
  test('is not remembered: it is carried out when it is sent again', async () => {
    await service.close()
    let isAway = true
    const app = await startApp({ sealing: testSealing })
    service = app
    await app.identities.put('provider', org, 'clerk', providerOf('clerk'))
    const { raiseBarrier } = app.credentials
    app.credentials.raiseBarrier = (...given) =>
      isAway ? Promise.reject(new Error('away')) : raiseBarrier.apply(app.credentials, given)
    expect((await post(deleted, { id: 'msg_1' })).status).toBe(500)
    isAway = false
    expect((await post(deleted, { id: 'msg_1' })).status).toBe(200)
    expect((await post(deleted, { id: 'msg_1' })).status).toBe(401)
  })
})

describe('whoever sends webhooks', () => {
  test('is held up after too many that are not genuine, wherever they are for', async () => {
    await service.close()
    service = await startApp({ sealing: testSealing, rates: { perAddress: 3 } })
    await service.identities.put('provider', org, 'clerk', providerOf('clerk'))
    const wrong = { secret: aWebhookSecret() }
    const codes = []
    for (const to of ['clerk', 'nobody', 'clerk', 'clerk'])
      codes.push((await post(deleted, { ...wrong, to })).status)
    expect(codes).toEqual([401, 401, 401, 429])
    // What is genuine does not count there.
    expect((await post(deleted)).status).toBe(200)
  })

  test('is held up where a provider sends too many', async () => {
    await service.close()
    service = await startApp({ sealing: testSealing, rates: { perWebhook: 2 } })
    await service.identities.put('provider', org, 'clerk', providerOf('clerk'))
    const statuses = [await post(deleted), await post(deleted), await post(deleted)].map(
      ({ status }) => status,
    )
    expect(statuses).toEqual([200, 200, 429])
  })

  test('may send a user with much on them, and no more than 256 KiB', async () => {
    const large = (bytes: number) => ({ type: 'user.updated', data: { ...user, note: 'x'.repeat(bytes) } })
    expect((await post(large(100 * 1024))).status).toBe(200)
    expect(await post(large(257 * 1024))).toMatchObject({ status: 413, body: { code: 'payload_too_large' } })
  })
})

test('what is exchanged while its session ends does not live on', async () => {
  const { credentials } = service
  const gate = Promise.withResolvers<void>()
  const reached = Promise.withResolvers<void>()
  await service.close()
  // Between the look at the session and the credential: the webhook comes.
  const slow = withMethods(credentials, {
    create: async (...given) => {
      reached.resolve()
      await gate.promise
      return credentials.create(...given)
    },
  })
  service = await startApp({
    sealing: testSealing,
    credentials: slow,
    fetchDocument: async () => ({ text: JSON.stringify(jwksOf(genuineKeys)) }),
  })
  await service.identities.put('provider', org, 'clerk', providerOf('clerk'))
  const exchanging = exchange('clerk')
  await reached.promise
  expect((await post({ type: 'session.ended', data: session })).status).toBe(200)
  gate.resolve()
  expect((await exchanging).body['code']).toBe('session_ended')
  const { credentials: left } = await credentials.list(org, { limit: 10 })
  expect(left).toEqual([])
})
