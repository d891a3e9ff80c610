import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { organizationRecordName } from '#core/stores/identity-records.ts'
import { defaultMostPerSubject } from '../../token-service/issuing/exchange-identity.ts'
import { defaultRates } from '../../token-service/limits/request-limits.ts'
import { anOrganization, anOrganizationId } from '../fixtures/records.ts'
import {
  type Answer,
  type AppUnderTest,
  aProviderOf,
  send,
  startApp,
} from '../token-service/app-under-test.ts'
import { generateSecret } from '#core/credentials/secret.ts'

const page = await readFile(new URL('../../docs/tokens.md', import.meta.url), 'utf8')
/** Method and path, the body, and what is answered. */
const examples = [...page.matchAll(/```http\n(\S+) (\S+)\n([\s\S]*?)\n?\n(\d{3})(?: (\w+))?\n```/g)]

let service: AppUnderTest
const key = generateSecret('sk')
/** What the last credential is called: later requests are about it. */
let last: Record<string, unknown> = {}

beforeAll(async () => {
  service = await startApp()
  const { identities } = service
  await identities.remove('provider', anOrganizationId, 'oidc')
  await identities.put('provider', anOrganizationId, 'people', aProviderOf(service.issuer))
  await identities.put(
    'organization',
    anOrganizationId,
    organizationRecordName,
    anOrganization({
      exchange: { anonymous: true, public: { origins: ['*'] } },
      credentials: { defaultTtl: 3600, maxTtl: 3600, maxLifetime: 7200 },
    }),
  )
  for (const name of ['jobs', 'visitors']) {
    await identities.put('access-list', anOrganizationId, name, { rules: [] })
  }
  await service.putKey(key, {
    scopes: ['exchange', 'tokens:create', 'revoke'],
    attributes: ['team'],
    agentIdPattern: 'planner-[0-9]+|router',
  })
})
afterAll(() => service.close())

async function ask(method: string, path: string, body: string): Promise<Answer> {
  const token = await service.token()
  const filled = (text: string): string =>
    text
      .replaceAll('eyJ...', token)
      .replaceAll('cs_sk_...', key)
      .replaceAll(/\{(id|username|password)\}/g, (_, name: string) => String(last[name]))
  const isOwn = path.startsWith('/v1/')
  const headers: Record<string, string> = isOwn ? { authorization: `Bearer ${key}` } : {}
  if (path !== '/oauth2/token') {
    return send(service.app, method as 'POST', filled(path), body === '' ? undefined : filled(body), headers)
  }
  const form = new URLSearchParams(
    filled(body)
      .split('\n')
      .map((line) => line.split(/=(.*)/s).slice(0, 2)),
  )
  return send(service.app, 'POST', path, form.toString(), {
    'content-type': 'application/x-www-form-urlencoded',
  })
}

test('every request of the page about tokens is answered as it says', async () => {
  expect(examples.length).toBeGreaterThanOrEqual(11)
  expect(page.match(/```http/g)).toHaveLength(examples.length)
  for (const [text, method = '', path = '', body = '', status, code] of examples) {
    const answer = await ask(method, path, body)
    expect(answer.status, `${text}\n${answer.text}`).toBe(Number(status))
    expect(answer.body['code'], text).toBe(code)
    if (answer.body['password'] !== undefined) last = answer.body
  }
})

test('the limits that the page names are those that there are', () => {
  const { perKey, perOrganization, perSubject, perAddress, withoutKey, perWebhook } = defaultRates
  const named = [...page.matchAll(/^\|[^|]*\| ([\d,]+) \|/gm)].map(([, text = '']) =>
    Number(text.replaceAll(',', '')),
  )
  expect(named).toEqual([perKey, perOrganization, withoutKey, perSubject, perAddress, perWebhook])
  expect(page).toContain(`up to ${defaultMostPerSubject} for one`)
})
