import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { anOrganizationId } from '../fixtures/records.ts'
import { type Answer, type AppUnderTest, send, startApp } from './app-under-test.ts'

/** How many connections somebody may have at a time is asked for alike at every face. */
let service: AppUnderTest
beforeEach(async () => {
  service = await startApp()
  await service.putKey(service.secretKey, {
    uid: 'backend',
    scopes: ['exchange', 'tokens:create'],
    attributes: ['email'],
  })
})
afterEach(() => service.close())

const organization_id = anOrganizationId

type Ask = (connections: unknown) => Promise<Answer>
const faces: readonly (readonly [string, Ask])[] = [
  [
    'POST /v1/token/exchange',
    async (connections) => service.exchange({ token: await service.token(), connections }),
  ],
  [
    'POST /v2/tokens/exchange',
    async (connections) =>
      service.post('/v2/tokens/exchange', { organization_id, token: await service.token(), connections }),
  ],
  [
    'POST /v2/tokens/create',
    (connections) =>
      service.post(
        '/v2/tokens/create',
        { organization_id, secret_key: service.secretKey, user_email: 'ada@example.com', connections },
        '',
      ),
  ],
  [
    'POST /oauth2/token',
    async (connections) => {
      const form = new URLSearchParams({
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: await service.token(),
        subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
        ...(connections === undefined ? {} : { connections: String(connections) }),
      })
      return send(service.app, 'POST', '/oauth2/token', form.toString(), {
        'content-type': 'application/x-www-form-urlencoded',
        authorization: `Bearer ${service.secretKey}`,
      })
    },
  ],
]

describe.each(faces)('%s', (_face, ask) => {
  const storedOf = async (answer: Answer) => {
    expect(answer.status).toBe(200)
    const id = String(answer.body['id'] ?? answer.body['token_id']).replace(/@.*/, '')
    return service.credentials.get(anOrganizationId, id)
  }

  test('keeps the number that was asked for, and otherwise none', async () => {
    expect((await storedOf(await ask(2)))?.connections).toBe(2)
    expect((await storedOf(await ask(10_000)))?.connections).toBe(10_000)
    expect(await storedOf(await ask(undefined))).not.toHaveProperty('connections')
  })

  test('refuses what is no number of connections', async () => {
    for (const wrong of [0, -1, 1.5, 10_001, 'two', '']) {
      expect((await ask(wrong)).status).toBe(400)
    }
  })
})
