import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { guardedAsk, guardedFetch } from '../../../token-service/verifier/guarded-fetch.ts'
import { isPublicAddress } from '../../../token-service/verifier/public-address.ts'
import { type Issuer, startIssuer } from '../../fixtures/issuer.ts'

const limits = { timeoutMs: 1_000, maxBytes: 1_000 }

describe('an address on the public internet', () => {
  test.each(['1.1.1.1', '8.8.8.8', '172.15.0.1', '172.32.0.1', '100.63.255.255', '2606:4700::1111'])(
    '%s is one',
    (address) => expect(isPublicAddress(address)).toBe(true),
  )

  test.each([
    ['this network', '0.0.0.0'],
    ['private', '10.0.0.1'],
    ['private', '172.16.0.1'],
    ['private', '172.31.255.255'],
    ['private', '192.168.1.1'],
    ['carrier-grade NAT', '100.64.0.1'],
    ['loopback', '127.0.0.1'],
    ['loopback', '127.255.255.254'],
    ['cloud metadata', '169.254.169.254'],
    ['benchmarks', '198.18.0.1'],
    ['multicast', '224.0.0.1'],
    ['reserved', '240.0.0.1'],
    ['broadcast', '255.255.255.255'],
    ['unspecified', '::'],
    ['loopback', '::1'],
    ['unique local', 'fd00:ec2::254'],
    ['link-local', 'fe80::1'],
    ['multicast', 'ff02::1'],
    ['IPv4-mapped', '::ffff:127.0.0.1'],
    ['IPv4-mapped, even of a public one', '::ffff:8.8.8.8'],
    ['NAT64', '64:ff9b::a00:1'],
    ['local NAT64', '64:ff9b:1::a00:1'],
    ['6to4', '2002:7f00:1::'],
    ['Teredo', '2001:0:53aa:64c::1'],
    ['documentation', '2001:db8::1'],
    ['no address', 'localhost'],
    ['no address', '127.1'],
    ['no address', ''],
  ])('%s %s is none', (_name, address) => expect(isPublicAddress(address)).toBe(false))
})

describe('what an organization wrote leads nowhere inside:', () => {
  const asked: string[] = []
  const options = {
    allowPrivateIssuers: false,
    lookup: async (hostname: string) => {
      asked.push(hostname)
      return names[hostname] ?? []
    },
  }
  const guarded = guardedFetch(options)
  const guardedApi = guardedAsk(options)
  const names: Readonly<Record<string, { address: string; family: number }[]>> = {
    'inside.example': [{ address: '10.0.0.7', family: 4 }],
    'mixed.example': [
      { address: '8.8.8.8', family: 4 },
      { address: '127.0.0.1', family: 4 },
    ],
    'metadata.example': [{ address: 'fd00:ec2::254', family: 6 }],
  }

  test.each([
    ['http://issuer.example/jwks', 'https://'],
    ['ftp://issuer.example/jwks', 'https://'],
    ['file:///etc/passwd', 'https://'],
    ['https://issuer.example:8443/jwks', 'port'],
    ['https://user:pass@issuer.example/jwks', 'user'],
    ['https://inside.example/jwks', 'private network'],
    ['https://mixed.example/jwks', 'private network'],
    ['https://metadata.example/jwks', 'private network'],
    ['https://nowhere.example/jwks', 'no address'],
    ['https://127.0.0.1/jwks', 'private network'],
    ['https://2130706433/jwks', 'private network'],
    ['https://0x7f.1/jwks', 'private network'],
    ['https://[::1]/jwks', 'private network'],
    ['https://[::ffff:10.0.0.1]/jwks', 'private network'],
    ['https://169.254.169.254/latest/meta-data', 'private network'],
  ])('not %s', async (url, reason) => {
    await expect(guarded(url, limits)).rejects.toThrow(reason)
    await expect(guardedApi({ url, headers: { authorization: 'x' } }, limits)).rejects.toThrow(reason)
  })

  test('and a name is asked for once: what is connected to is what was checked', async () => {
    asked.length = 0
    const rebinding = guardedFetch({
      allowPrivateIssuers: true,
      lookup: async (hostname) => {
        asked.push(hostname)
        return [{ address: '127.0.0.1', family: 4 }]
      },
    })
    const issuer = await startIssuer()
    const { port } = new URL(issuer.url)
    // A name that no DNS knows: only the pinned address can have been used.
    const { text } = await rebinding(`http://issuer.invalid:${port}/jwks`, { ...limits, maxBytes: 10_000 })
    await issuer.close()
    expect(JSON.parse(text)).toHaveProperty('keys')
    expect(asked).toEqual(['issuer.invalid'])
  })
})

describe('an answer of an issuer', () => {
  let issuer: Issuer
  const fetch = guardedFetch({ allowPrivateIssuers: true })
  const read = (): Promise<unknown> => fetch(issuer.jwksUri, limits)

  beforeAll(async () => {
    issuer = await startIssuer()
  })
  afterAll(() => issuer.close())

  test('comes with its max-age', async () => {
    issuer.answerWith((_request, response) =>
      response.writeHead(200, { 'cache-control': 'public, max-age=600' }).end('{}'),
    )
    expect(await read()).toEqual({ text: '{}', maxAgeSeconds: 600 })
  })

  test('is refused when it is a redirect', async () => {
    issuer.answerWith((_request, response) =>
      response.writeHead(302, { location: `${issuer.url}/elsewhere` }).end(),
    )
    await expect(read()).rejects.toThrow('status 302')
    expect(issuer.requests.has('/elsewhere')).toBe(false)
  })

  test.each([204, 404, 500])('is refused when its status is %i', async (status) => {
    issuer.answerWith((_request, response) => response.writeHead(status).end())
    await expect(read()).rejects.toThrow(`status ${status}`)
  })

  test('is refused when it is too long, before all of it is read', async () => {
    let isClosed = false
    issuer.answerWith((_request, response) => {
      response.on('close', () => (isClosed = true))
      response.writeHead(200)
      const more = (): unknown => isClosed || (response.write('x'.repeat(500)), setTimeout(more, 1))
      more()
    })
    await expect(read()).rejects.toThrow('more than 1000 bytes')
    await expect.poll(() => isClosed).toBe(true)
  })

  test.each<[string, Parameters<Issuer['answerWith']>[0]]>([
    ['never begins', () => {}],
    [
      'never ends',
      (_request, response) => {
        response.writeHead(200)
        response.write('{')
      },
    ],
  ])('is given up after the timeout when it %s', async (_name, answer) => {
    issuer.answerWith(answer)
    const started = performance.now()
    await expect(fetch(issuer.jwksUri, { ...limits, timeoutMs: 200 })).rejects.toThrow()
    expect(performance.now() - started).toBeLessThan(900)
  })

  test('is refused when the connection ends within it', async () => {
    issuer.answerWith((_request, response) => {
      response.writeHead(200, { 'content-length': '100' })
      response.write('{}', () => response.destroy())
    })
    await expect(read()).rejects.toThrow()
  })

  test('is given up when DNS does not answer', async () => {
    const silent = guardedFetch({ allowPrivateIssuers: false, lookup: () => new Promise(() => {}) })
    await expect(silent('https://issuer.example/jwks', { ...limits, timeoutMs: 50 })).rejects.toThrow()
  })
})

describe('a question to a provider', () => {
  let issuer: Issuer
  const ask = guardedAsk({ allowPrivateIssuers: true })
  beforeAll(async () => {
    issuer = await startIssuer()
  })
  afterAll(() => issuer.close())

  test('is sent with its headers, and with its body by POST', async () => {
    issuer.answerWith((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => void chunks.push(chunk))
      request.on('end', () => {
        const { method, headers } = request
        const seen = { method, key: headers['apikey'], type: headers['content-type'], body: String(chunks) }
        response.writeHead(418).end(JSON.stringify(seen))
      })
    })
    const url = `${issuer.url}/user`
    const seen = async (question: object): Promise<unknown> => {
      const { status, text } = await ask({ url, headers: { apikey: 'k' }, ...question }, limits)
      return [status, JSON.parse(text)]
    }
    expect(await seen({})).toEqual([418, { method: 'GET', key: 'k', body: '' }])
    expect(await seen({ body: { a: 'ä' } })).toEqual([
      418,
      { method: 'POST', key: 'k', type: 'application/json', body: '{"a":"ä"}' },
    ])
  })

  test('is answered by a redirect as by anything else, and goes nowhere with what is secret in it', async () => {
    issuer.answerWith((_request, response) =>
      response.writeHead(307, { location: `${issuer.url}/elsewhere` }).end('gone'),
    )
    const question = { url: `${issuer.url}/user`, headers: { authorization: 'Bearer secret' } }
    expect(await ask(question, limits)).toEqual({ status: 307, text: 'gone' })
    expect(issuer.requests.has('/elsewhere')).toBe(false)
  })

  test('is given up when the answer is too long, or comes too late', async () => {
    issuer.answerWith((_request, response) => response.writeHead(200).end('x'.repeat(1_001)))
    const question = { url: `${issuer.url}/user`, headers: {} }
    await expect(ask(question, limits)).rejects.toThrow('more than 1000 bytes')
    issuer.answerWith(() => {})
    await expect(ask(question, { ...limits, timeoutMs: 50 })).rejects.toThrow()
  })

  test('with a header that can not be one is not sent', async () => {
    const question = { url: `${issuer.url}/user`, headers: { apikey: 'a\r\nx-admin: 1' } }
    await expect(ask(question, limits)).rejects.toThrow(/Invalid character/)
  })
})
