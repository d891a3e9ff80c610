import { connect } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { problems } from '../../../token-service/problems.ts'
import { eventually } from '../../fixtures/eventually.ts'
import type { Answer } from '../app-under-test.ts'
import { expectDocumentedBy } from '../documented-answers.ts'
import { FuzzedService } from './fuzzed-service.ts'
import { type FuzzRequest, operationsOf, requestsTo } from './requests.ts'

const seconds = Number(process.env['CLOUDSIGNAL_TEST_FUZZ_SECONDS'] ?? 8)
const seed = Number(process.env['CLOUDSIGNAL_TEST_FUZZ_SEED'] ?? 20_261_125)

let service: FuzzedService
beforeAll(async () => {
  service = await FuzzedService.start()
})
afterAll(() => service.close())

test(
  'whatever is sent, every answer is documented, none tells a secret, and the service stays up',
  { timeout: seconds * 1000 + 60_000 },
  async () => {
    const statuses = new Map<number, number>()
    const tried = new Set<string>()
    const asked = new Set<string>()
    const requests = fc.array(requestsTo(service.document), { minLength: 1, maxLength: 8 })
    const property = fc.asyncProperty(requests, async (batch) => {
      const former = service.passwords
      const answers = await Promise.all(batch.map((request) => service.send(request)))
      for (const [index, request] of batch.entries()) {
        const answer = answers[index]
        if (answer === undefined) continue
        judge(request, answer)
        if (request.operation !== undefined) asked.add(request.operation)
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
        if (answer.status < 300) tried.add(`${request.method} ${request.path.split(/[?<]/)[0]}`)
        // A renewal shows the password again to whoever has just proved it.
        if (!request.path.includes('/refresh')) {
          for (const password of former) expect(answer.text).not.toContain(password)
        }
      }
    })
    await fc.assert(property, {
      seed,
      numRuns: 1_000_000,
      interruptAfterTimeLimit: seconds * 1000,
      endOnFailure: seconds < 60,
    })

    // All of it would be worth little if everything had been refused at the door.
    const sum = [...statuses.values()].reduce((total, count) => total + count, 0)
    const reached = [...tried].toSorted()
    expect([...asked].toSorted()).toEqual(operationsOf(service.document).toSorted())
    expect(reached).toEqual(expect.arrayContaining(['GET /v1/audit', 'GET /v1/sessions']))
    expect(reached).toEqual(expect.arrayContaining(['POST /v1/token/exchange', 'POST /v1/tokens']))
    const counted = JSON.stringify(Object.fromEntries(statuses))
    expect(statuses.get(200) ?? 0, counted).toBeGreaterThan(sum / 50)
    expect(statuses.get(201) ?? 0, counted).toBeGreaterThan(0)
    expect(statuses.get(204) ?? 0, counted).toBeGreaterThan(0)
    await expectWell()
  },
)

test('what is hardly HTTP is answered with a problem or hung up on', async () => {
  const heads = [
    'GET\r\n\r\n',
    'GET / HTTP/9.9\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
    'POST /v1/tokens HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n',
    'POST /v1/tokens HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde',
    'POST /v1/tokens HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'POST /v1/tokens HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    'POST /v1/tokens HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\nffffffffffffffff\r\n',
    'GET /v1/tokens HTTP/1.1\r\nHost: a\r\nX-\u0000: a\r\n\r\n',
    'GET /v1/tokens HTTP/1.1\r\nHost : a\r\n\r\n',
    'GET /v1/tokens HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n',
    `GET /${'a'.repeat(40_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: a\r\n${Array.from({ length: 3_000 }, (_, index) => `X-${index}: a`).join('\r\n')}\r\n\r\n`,
    'GET http://other.example/v1/tokens HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    'CONNECT other.example:443 HTTP/1.1\r\nHost: a\r\n\r\n',
    'GET /v1/tokens HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  ]
  for (const head of heads) {
    const text = await wire(head)
    expect(text === '' || /^HTTP\/1\.1 4\d\d /.test(text), `${head.slice(0, 90)} -> ${text}`).toBe(true)
    const [, body = ''] = text.split('\r\n\r\n')
    if (body !== '') expect(body).toContain('"code":')
  }
  await expectWell()
})

function judge(request: FuzzRequest, answer: Answer): void {
  const about = `${JSON.stringify({ ...request, raw: request.raw?.toString('latin1') })}\n-> ${answer.status} ${answer.text}`
  const { method, path } = request
  const isDocumented = expectDocumentedBy(service.document, method, path, answer)
  expect(answer.status === 503 || answer.status < 500, about).toBe(true)
  if (!isDocumented) expectNoOperation(method, answer, about)
  for (const secret of service.secrets) expect(answer.text, about).not.toContain(secret)
  expect(answer.text, about).not.toMatch(/node_modules|\.ts:\d|redis:\/\/|sha256\$|"verifier"/)
  const setCookie = answer.headers['set-cookie']
  expect(setCookie, about).toBeUndefined()
}

/** What is no operation is a problem, a preflight, or a page of the documentation. */
function expectNoOperation(method: string, answer: Answer, about: string): void {
  const { status, headers, body, text } = answer
  if (method === 'OPTIONS' && status === 204) return
  if (String(headers['content-type']).startsWith('text/html') && status === 200) return
  expect([400, 404, 405, 413, 415, 429, 503], about).toContain(status)
  if (method === 'HEAD') return
  expect(text, about).not.toBe('')
  const code = String(body['code'] ?? body['error'])
  expect(Object.keys(problems), about).toContain(code)
}

async function expectWell(): Promise<void> {
  // It may be shedding load for a moment still.
  await eventually('an exchange', async () => (await service.exchange()).status === 200)
  const output = service.program.output()
  expect(output).not.toContain('caught by nobody')
  expect(output).not.toContain('a request failed')
  for (const secret of [...service.secrets, ...service.passwords]) expect(output).not.toContain(secret)
}

/** What comes back for these bytes, until it hangs up or has said nothing for a moment. */
function wire(bytes: string): Promise<string> {
  return new Promise((resolve) => {
    let received = ''
    const socket = connect(service.port, '127.0.0.1', () => socket.write(bytes, 'latin1'))
    socket.setTimeout(150, () => socket.destroy())
    socket.on('data', (chunk) => (received += String(chunk)))
    socket.on('error', () => {})
    socket.once('close', () => resolve(received))
  })
}
