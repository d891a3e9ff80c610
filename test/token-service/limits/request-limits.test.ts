import { afterEach, describe, expect, test } from 'vitest'
import { generateSecret } from '#core/credentials/secret.ts'
import { MemoryRateLimiter } from '#core/stores/memory-rate-limiter.ts'
import { organizationRecordName } from '#core/stores/identity-records.ts'
import type { RateLimiter } from '#core/stores/rate-limiter.ts'
import { anApiKey, anOrganization, anOrganizationId, anotherOrganizationId } from '../../fixtures/records.ts'
import type { AppDependencies } from '../../../token-service/app.ts'
import { addOrganization, type Answer, type AppUnderTest, aProviderOf, startApp } from '../app-under-test.ts'

let service: AppUnderTest
const start = async (over: Partial<AppDependencies>): Promise<AppUnderTest> =>
  (service = await startApp(over))
afterEach(() => service.close())

const origin = 'https://acme.example'
const from = (address: string): Record<string, string> => ({ origin, 'x-forwarded-for': address })
const exchange = async (key?: string, headers?: Record<string, string>, sub = 'ada'): Promise<Answer> =>
  service.exchange({ token: await service.token({ sub }) }, key, headers)

/** How many of `times` are answered, and the first refusal. */
async function until429(times: number, ask: (index: number) => Promise<Answer>): Promise<[number, Answer]> {
  for (let index = 0; index < times; index += 1) {
    const answer = await ask(index)
    if (answer.status === 429) return [index, answer]
  }
  throw new Error(`${times} requests, and no 429`)
}

function expectLimited(answer: Answer, limit: string): void {
  expect(answer).toMatchObject({ status: 429, body: { code: 'rate_limited' } })
  expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
  expect(answer.headers['ratelimit']).toContain(`"${limit}";r=0;t=`)
  expect(answer.headers['ratelimit-policy']).toMatch(new RegExp(`"${limit}";q=\\d+;w=60`))
  expect(answer.headers['cache-control']).toBe('no-store')
}

describe('too many requests are refused:', () => {
  test('by one API key, by what its resource says', async () => {
    await start({})
    const key = generateSecret('sk')
    await service.putKey(key, { scopes: ['exchange'], perMinute: 3 })
    const [allowed, refused] = await until429(5, (index) => exchange(key, {}, `user-${index}`))
    expect(allowed).toBe(3)
    expectLimited(refused, 'key')
    expect(refused.headers['retry-after']).toBe('20')
    // Other keys of the organization are not concerned.
    expect((await exchange()).status).toBe(200)
    service.pass(20_000)
    expect((await exchange(key)).status).toBe(200)
  })

  test('by one API key, by default, before a body is read', async () => {
    await start({ rates: { perKey: 2 } })
    const [allowed, refused] = await until429(5, () => service.exchange('no JSON'))
    expect(allowed).toBe(2)
    expectLimited(refused, 'key')
  })

  test('of one organization, whichever key it uses; others are not concerned', async () => {
    await start({ rates: { perOrganization: 3 } })
    const [, foreign] = [generateSecret('sk'), generateSecret('sk')]
    await addOrganization(service.identities, anotherOrganizationId)
    await service.identities.put('provider', anotherOrganizationId, 'oidc', aProviderOf(service.issuer))
    const record = anApiKey('backend', foreign, {}, anotherOrganizationId)
    await service.identities.put('api-key', anotherOrganizationId, 'backend', record)
    const second = generateSecret('sk')
    await service.putKey(second)
    const [allowed, refused] = await until429(5, (index) =>
      exchange(index % 2 === 0 ? service.secretKey : second),
    )
    expect(allowed).toBe(3)
    expectLimited(refused, 'organization')
    expect((await exchange(foreign)).status).toBe(200)
  })

  test('of one person, once they have proved who they are', async () => {
    await start({ rates: { perSubject: 3 } })
    const forged = `${(await service.token()).slice(0, -4)}AAAA`
    for (let index = 0; index < 5; index += 1) {
      expect((await service.exchange({ token: forged })).body['code']).toBe('invalid_signature')
    }
    const [allowed, refused] = await until429(5, () => exchange())
    expect(allowed).toBe(3)
    expectLimited(refused, 'subject')
    expect((await exchange(undefined, {}, 'bob')).status).toBe(200)
  })

  test('of one person renewing too', async () => {
    await start({ rates: { perSubject: 3 } })
    const { body } = await exchange()
    const [allowed, refused] = await until429(5, () =>
      service.post(`/v1/tokens/${String(body['username'])}/refresh`, { password: body['password'] }, ''),
    )
    expect(allowed).toBe(2)
    expectLimited(refused, 'subject')
  })

  test('from one address with a publishable key', async () => {
    await start({ rates: { perAddress: 3 }, trustedProxies: ['127.0.0.1'] })
    const [allowed, refused] = await until429(5, (index) =>
      exchange(service.publishableKey, from('192.0.2.1'), `user-${index}`),
    )
    expect(allowed).toBe(3)
    expectLimited(refused, 'address')
    expect((await exchange(service.publishableKey, from('192.0.2.2'))).status).toBe(200)
    // A backend is one address for all of its users.
    for (let index = 0; index < 5; index += 1) {
      expect((await exchange(undefined, from('192.0.2.1'), `user-${index}`)).status).toBe(200)
    }
  })

  test('from one address that guesses keys or passwords', async () => {
    await start({ rates: { perAddress: 3 }, trustedProxies: ['127.0.0.1'] })
    const guesses: readonly (() => Promise<Answer>)[] = [
      () => exchange(generateSecret('sk'), from('192.0.2.1')),
      () => exchange(generateSecret('pk'), from('192.0.2.2')),
      () => exchange('', from('192.0.2.3')),
      () =>
        service.post(
          `/v1/tokens/tmp_x@${anOrganizationId}/refresh`,
          { password: generateSecret('mp') },
          '',
          from('192.0.2.4'),
        ),
      () =>
        service.post(
          '/v2/tokens/exchange',
          { organization_id: 'org_zzzzzzzzzzzz', token: 'x' },
          '',
          from('192.0.2.5'),
        ),
    ]
    for (const guess of guesses) {
      const [allowed, refused] = await until429(5, guess)
      expect(allowed).toBe(3)
      expect(refused.headers['ratelimit']).toContain('"address";r=0')
    }
  })

  test('without a key, by what the organization says', async () => {
    await start({})
    const open = { anonymous: false, public: { origins: ['*'], perMinute: 2 } }
    await service.identities.put(
      'organization',
      anOrganizationId,
      organizationRecordName,
      anOrganization({ exchange: open }),
    )
    const [allowed, refused] = await until429(5, async (index) => {
      const token = await service.token({ sub: `user-${index}` })
      return service.post('/v2/tokens/exchange', { organization_id: anOrganizationId, token }, '')
    })
    expect(allowed).toBe(2)
    expect(refused).toMatchObject({ status: 429, body: { error: 'rate_limited' } })
    expect(refused.headers['ratelimit']).toContain('"without-key";r=0')
    expect((await exchange()).status).toBe(200)
  })
})

describe('the address of a client', () => {
  test('is what a trusted proxy says, and nobody else', async () => {
    await start({ rates: { perAddress: 1 } })
    await exchange(service.publishableKey, from('192.0.2.1'))
    expect((await exchange(service.publishableKey, from('192.0.2.2'))).status).toBe(429)
    await service.close()
    await start({ rates: { perAddress: 1 }, trustedProxies: ['127.0.0.0/8', '10.0.0.0/8'] })
    const spoofed = (client: string): Record<string, string> => from(`203.0.113.9, ${client}, 10.1.2.3`)
    expect((await exchange(service.publishableKey, spoofed('192.0.2.1'))).status).toBe(200)
    expect((await exchange(service.publishableKey, spoofed('192.0.2.2'))).status).toBe(200)
    expect((await exchange(service.publishableKey, spoofed('192.0.2.1'))).status).toBe(429)
  })
})

describe('what is allowed', () => {
  test('says what is left of each limit', async () => {
    await start({ rates: { perKey: 100, perOrganization: 200, perAddress: 50 } })
    const { headers } = await exchange()
    expect(headers['ratelimit-policy']).toBe('"key";q=100;w=60, "organization";q=200;w=60')
    expect(headers['ratelimit']).toBe('"key";r=99;t=1, "organization";r=199;t=1')
    const open = await exchange(service.publishableKey, { origin })
    expect(open.headers['ratelimit']).toBe('"address";r=49;t=2, "key";r=99;t=1, "organization";r=198;t=1')
  })
})

describe('whoever is over a limit', () => {
  test('costs the store nothing until there is something again, and is counted', async () => {
    const inner = new MemoryRateLimiter(() => service.now())
    let asked = 0
    const limiter: RateLimiter = {
      take: (...parameters) => {
        asked += 1
        return inner.take(...parameters)
      },
    }
    await start({ limiter, rates: { perKey: 1_000 } })
    const key = generateSecret('sk')
    await service.putKey(key, { perMinute: 1 })
    await exchange(key)
    expectLimited(await exchange(key), 'key')
    const before = asked
    for (let index = 0; index < 10; index += 1) expectLimited(await exchange(key), 'key')
    expect(asked).toBe(before)
    service.pass(60_000)
    expect((await exchange(key)).status).toBe(200)
    expect(await service.registry.metrics()).toContain('limited_total{limit="key"} 11')
  })
})
