import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { problems } from '../../token-service/problems.ts'
import { type Answer, type AppUnderTest, send, startApp } from './app-under-test.ts'

let service: AppUnderTest
beforeAll(async () => {
  service = await startApp()
})
afterAll(() => service.close())

const url = '/v1/token/exchange'
const withKey = (): Record<string, string> => ({ authorization: `Bearer ${service.secretKey}` })
const post = (body: unknown, headers: Record<string, string> = {}): Promise<Answer> =>
  send(service.app, 'POST', url, body, { ...withKey(), ...headers })

/** That an answer is problem+json as RFC 9457 wants it, and nothing that may be cached. */
function expectProblem({ status, headers, body }: Answer, code: keyof typeof problems): void {
  expect(body).toMatchObject({
    type: `https://cloudsignal.app/problems/${code}`,
    title: problems[code].title,
    status: problems[code].status,
    code,
  })
  expect(status).toBe(problems[code].status)
  expect(headers['content-type']).toMatch(/^application\/problem\+json/)
  expect(headers['cache-control']).toBe('no-store')
}

describe('a body is refused with a problem when it', () => {
  test.each([
    ['is no JSON', '{"token":'],
    ['is a word', 'token'],
    ['is a form', 'token=x&provider=oidc'],
  ])('%s', async (_name, body) => expectProblem(await post(body), 'malformed_json'))

  test.each<[string, unknown, readonly string[]]>([
    ['is a list', '[]', ['body']],
    ['is null', 'null', ['body']],
    ['is a text', '"x"', ['body']],
    ['is empty', '', ['body']],
    ['lacks the token', {}, ['token']],
    ['has an empty token', { token: '' }, ['token']],
    ['has a list as token', { token: ['x'] }, ['token']],
    ['has unknown fields', { token: 'x', organization: 'org_x', role: 'admin' }, ['organization', 'role']],
    ['has __proto__', '{"token":"x","__proto__":{"provider":"oidc"}}', ['__proto__']],
    ['has constructor', '{"token":"x","constructor":{"prototype":{}}}', ['constructor']],
    ['has a fraction as ttl', { token: 'x', ttl: 60.5 }, ['ttl']],
    ['has a text as ttl', { token: 'x', ttl: '3600' }, ['ttl']],
    ['has null as provider', { token: 'x', provider: null }, ['provider']],
    ['has a client id with NUL', { token: 'x', client_id: 'a\u0000b' }, ['client_id']],
    ['has an empty client id', { token: 'x', client_id: '' }, ['client_id']],
    ['has a client id of 257 characters', { token: 'x', client_id: 'c'.repeat(257) }, ['client_id']],
    [
      'is wrong in every field',
      { token: 1, provider: 2, ttl: [], client_id: {} },
      ['token', 'provider', 'ttl', 'client_id'],
    ],
  ])('%s', async (_name, body, fields) => {
    const answer = await post(body)
    expectProblem(answer, 'invalid_request')
    const errors = answer.body['errors'] as { field: string; remedy: string }[]
    expect(errors.map(({ field }) => field).toSorted()).toEqual(fields.toSorted())
    for (const { remedy } of errors) expect(remedy).not.toBe('')
  })

  test('does not say application/json', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonx', 'x']) {
      expectProblem(await post('{"token":"x"}', { 'content-type': type }), 'unsupported_media_type')
    }
  })

  test('is larger than 32 KiB', async () => {
    expectProblem(await post({ token: 'x'.repeat(33 * 1024) }), 'payload_too_large')
  })

  test('has a token of more than 16 KiB, whatever it is made of', async () => {
    expectProblem(await post({ token: `${'x'.repeat(16 * 1024)}.` }), 'token_too_large')
    expectProblem(await post({ token: `x.${'y'.repeat(16 * 1024 - 1)}` }), 'token_too_large')
    expectProblem(await post({ token: 'x'.repeat(16 * 1024) }), 'unsupported_token_format')
  })

  test('is JSON in another charset parameter, which is fine', async () => {
    const answer = await post({ token: 'x' }, { 'content-type': 'application/json; charset=utf-8' })
    expectProblem(answer, 'unsupported_token_format')
  })
})

describe('a value of a field that may be secret is never sent back:', () => {
  test('only names and numbers that the caller chose', async () => {
    const answer = await post({ token: ['top-secret'], password: 'top-secret', ttl: 'soon' })
    expect(answer.text).not.toContain('top-secret')
    expect((await post({ token: 987_654_321 })).text).not.toContain('987')
    expect(answer.body['errors']).toContainEqual(expect.objectContaining({ field: 'ttl', value: 'soon' }))
  })
})

describe('outside of the routes', () => {
  test.each(['/', '/v1', '/v1/token', '/v1/token/exchange/', '/metrics', '/%zz', '/v1/tokens/%'])(
    '%s is not found',
    async (path) => expectProblem(await send(service.app, 'GET', path, undefined, {}), 'not_found'),
  )

  test('a path of endless length is not found', async () => {
    expectProblem(
      await send(service.app, 'DELETE', `/v1/tokens/${'x'.repeat(2000)}`, undefined, {}),
      'not_found',
    )
  })

  test.each([
    ['GET', url, 'POST'],
    ['PUT', url, 'POST'],
    ['DELETE', url, 'POST'],
    ['GET', '/v1/tokens/tmp_1', 'DELETE'],
    ['POST', '/v1/tokens/tmp_1', 'DELETE'],
  ] as const)('%s %s is refused with the methods that are allowed', async (method, path, allow) => {
    const answer = await send(service.app, method, path, method === 'GET' ? undefined : 'x', {
      'content-type': 'text/plain',
    })
    expectProblem(answer, 'method_not_allowed')
    expect(answer.headers['allow']).toBe(allow)
  })
})

describe('on the wire', () => {
  test('what is no HTTP gets a problem, and the service stays', async () => {
    await service.app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = service.app.server.address() as AddressInfo
    const text = await new Promise<string>((resolve) => {
      let received = ''
      const socket = connect(port, '127.0.0.1', () => socket.write('\u0016\u0003\u0001 no HTTP\r\n\r\n'))
      socket.on('data', (chunk) => (received += String(chunk)))
      socket.on('close', () => resolve(received))
    })
    expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
    expect(text).toContain('"code":"invalid_request"')
    expectProblem(await post({ token: 'x' }), 'unsupported_token_format')
  })
})
