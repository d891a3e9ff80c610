import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type AuditEvent, auditEvents } from '#core/audit/audit-event.ts'
import { DomainError } from '#core/errors.ts'
import { generateSecret } from '#core/credentials/secret.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { apiKeyScopes } from '#core/resources/api-key.ts'
import { anApiKey, anOrganizationId as org, anotherOrganizationId } from '../fixtures/records.ts'
import { addOrganization, type AppUnderTest, type Answer, startApp } from './app-under-test.ts'

let service: AppUnderTest
const auditor = generateSecret('sk')

beforeEach(async () => {
  service = await startApp()
  await service.putKey(auditor, { uid: 'auditor', scopes: ['audit'] })
})
afterEach(() => service.close())

const ask = (query = '', key = auditor): Promise<Answer> => service.get(`/v1/audit${query}`, key)
type Listed = Readonly<Record<string, unknown>>
const eventsOf = ({ body }: Answer): readonly Listed[] => body['events'] as Listed[]
const listed = async (query = ''): Promise<readonly Listed[]> => eventsOf(await ask(query))

async function keep(event: AuditEvent, organization: OrganizationId = org): Promise<void> {
  const kept = { ...event, organization, time: new Date(service.now()).toISOString(), program: 'broker' }
  await service.auditTrail.append(organization, auditEvents[event.event].nature, [kept])
}

describe('the audit log of an organization', () => {
  test('tells what happened, in the words of the API, the latest first', async () => {
    const token = await service.token({ jti: 'j-1', sid: 's-1' })
    const exchanged = await service.exchange({ token })
    service.pass(1_000)
    await service.exchange({ token: await service.token({ iss: 'https://evil.example' }) })
    const answer = await ask()
    expect(answer.status).toBe(200)
    expect(eventsOf(answer)).toEqual([
      {
        time: new Date(service.now()).toISOString(),
        event: 'credential.refused',
        message: 'a credential was refused',
        program: 'token-service',
        organization: org,
        api_key: 'backend',
        address: '127.0.0.1',
        request: expect.any(String),
        kind: 'exchange',
        provider: 'oidc',
        reason: 'issuer_mismatch',
        detail: expect.any(String),
      },
      {
        time: new Date(service.now() - 1_000).toISOString(),
        event: 'credential.issued',
        message: 'a credential was issued',
        program: 'token-service',
        organization: org,
        api_key: 'backend',
        address: '127.0.0.1',
        request: exchanged.headers['request-id'],
        kind: 'exchange',
        provider: 'oidc',
        principal: expect.stringMatching(/^sub:/),
        subject: 'ada',
        credential: exchanged.body['id'],
        session: 's-1',
        token_id: 'j-1',
        expires_at: exchanged.body['expires_at'],
      },
    ])
    for (const secret of [token, exchanged.body['password'], service.secretKey, auditor]) {
      expect(answer.text).not.toContain(String(secret))
    }
    expect(answer.headers['cache-control']).toBe('no-store')
  })

  test('shows every field that an event may have', async () => {
    await keep({
      event: 'access.denied',
      clientId: 'web-1',
      action: 'publish',
      topic: 'a/b',
      reason: 'deny-rule',
      list: 'people',
      rule: 1,
      omitted: 3,
    })
    expect(await listed()).toEqual([
      {
        organization: org,
        program: 'broker',
        time: expect.any(String),
        event: 'access.denied',
        message: 'an access list denied a request',
        client_id: 'web-1',
        action: 'publish',
        topic: 'a/b',
        reason: 'deny-rule',
        list: 'people',
        rule: 1,
        omitted: 3,
      },
    ])
    await keep({ event: 'user.changed', principal: 'user:a', fields: ['suspended'] })
    await keep({ event: 'credential.issued', actors: ['planner', 'user_support'], tokenId: 'j' })
    await keep({ event: 'credential.revoked', target: 'provider', issuedBefore: '2026-11-25T08:00:00.000Z' })
    const found = await listed()
    for (const more of [
      { fields: ['suspended'] },
      { actors: ['planner', 'user_support'], token_id: 'j' },
      { issued_before: '2026-11-25T08:00:00.000Z' },
    ]) {
      expect(found).toContainEqual(expect.objectContaining(more))
    }
  })

  test('is its own alone', async () => {
    await addOrganization(service.identities, anotherOrganizationId)
    const theirs = generateSecret('sk')
    const key = anApiKey('theirs', theirs, { scopes: ['audit'] }, anotherOrganizationId)
    await service.identities.put('api-key', anotherOrganizationId, 'theirs', key)
    await keep({ event: 'client.connected', clientId: 'ours' })
    await keep({ event: 'client.connected', clientId: 'theirs' }, anotherOrganizationId)
    expect(await listed()).toMatchObject([{ client_id: 'ours' }])
    const answer = await ask('', theirs)
    expect(answer.status, answer.text).toBe(200)
    expect(eventsOf(answer)).toMatchObject([{ client_id: 'theirs' }])
  })

  test('is read by keys with the scope audit, and no other', async () => {
    const everything = generateSecret('sk')
    const scopes = apiKeyScopes.filter((scope) => scope !== 'audit')
    await service.putKey(everything, { uid: 'everything', scopes })
    expect(await ask('', everything)).toMatchObject({ status: 403, body: { code: 'insufficient_scope' } })
    expect(await ask('', service.publishableKey)).toMatchObject({ status: 403 })
    expect(await ask('', generateSecret('sk'))).toMatchObject({ status: 401 })
    const published = generateSecret('pk')
    await service.putKey(published, { uid: 'published', type: 'publishable', scopes: ['audit'] })
    expect((await ask('', published)).status).toBe(403)
    await addOrganization(service.identities, org, { suspended: true })
    expect(await ask()).toMatchObject({ status: 403, body: { code: 'organization_suspended' } })
  })
})

describe('events are found', () => {
  beforeEach(async () => {
    for (const name of ['ada', 'bob', 'eve']) {
      await keep({
        event: 'client.connected',
        principal: `user:${name}`,
        username: `${name}@${org}`,
        clientId: name,
      })
      service.pass(1_000)
      await keep({
        event: 'client.refused',
        username: `${name}@${org}`,
        reason: 'wrong-password',
        address: '192.0.2.7',
      })
      service.pass(1_000)
      await keep({
        event: 'credential.revoked',
        target: 'subject',
        subject: name,
        provider: 'oidc',
        apiKey: 'backend',
      })
      service.pass(1_000)
    }
  })

  test.each([
    ['event=client.connected', 3],
    ['nature=ending', 3],
    ['nature=routine&event=client.refused', 0],
    ['subject=bob', 1],
    ['principal=user:eve', 1],
    [`username=ada@${org}`, 2],
    ['client_id=eve', 1],
    ['api_key=backend', 3],
    ['provider=oidc&subject=eve', 1],
    ['provider=oidc&subject=nobody', 0],
    ['reason=wrong-password', 3],
    ['address=192.0.2.7', 3],
    ['credential=tmp_none', 0],
    ['request=none', 0],
    ['', 9],
  ])('by %s', async (query, count) => {
    const found = await listed(`?${query.replaceAll(':', '%3A').replaceAll('@', '%40')}`)
    expect(found).toHaveLength(count)
  })

  test('by their time, to the millisecond', async () => {
    const times = (await listed()).map(({ time }) => String(time))
    expect(times).toEqual(times.toSorted().toReversed())
    const [third = '', fifth = ''] = [times[2], times[4]]
    const between = await listed(`?since=${fifth}&until=${third}`)
    expect(between.map(({ time }) => time)).toEqual(times.slice(2, 5))
    expect(await listed(`?since=${new Date(service.now() + 1).toISOString()}`)).toEqual([])
  })

  test('page by page, each once, with a filter too', async () => {
    for (const filter of ['', '&event=client.refused', '&nature=ending']) {
      const all = await listed(`?limit=200${filter}`)
      const found: Listed[] = []
      let cursor = ''
      do {
        const page = await ask(`?limit=2${filter}${cursor}`)
        expect(eventsOf(page).length).toBeLessThanOrEqual(2)
        found.push(...eventsOf(page))
        const next = page.body['next']
        cursor = next === undefined ? '' : `&cursor=${String(next)}`
      } while (cursor !== '')
      expect(found).toEqual(all)
    }
  })

  test('in pages that may be short, where a filter lets few of many through', async () => {
    for (let index = 0; index < 450; index += 1) await keep({ event: 'client.connected', clientId: 'other' })
    const page = await ask('?client_id=ada&limit=1')
    expect(eventsOf(page)).toMatchObject([{ client_id: 'ada' }])
  })
})

test.each([
  'event=client.gone',
  'nature=all',
  'limit=0',
  'limit=201',
  'cursor=1',
  'since=yesterday',
  'who=ada',
  'subject=',
])('a question with %s is none', async (query) => {
  expect(await ask(`?${query}`)).toMatchObject({ status: 400, body: { code: 'invalid_request' } })
})

test('while the store is away nobody is told that nothing happened', async () => {
  await service.close()
  const read = () => Promise.reject(new DomainError('store-unavailable', 'Redis did not answer'))
  service = await startApp({ auditTrail: { read } })
  await service.putKey(auditor, { uid: 'auditor', scopes: ['audit'] })
  const answer = await ask()
  expect(answer).toMatchObject({ status: 503, body: { code: 'service_unavailable' } })
  expect(answer.headers['retry-after']).toBeDefined()
})
