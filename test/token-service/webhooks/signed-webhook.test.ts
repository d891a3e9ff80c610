import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { webhookKeys } from '#core/identity/webhook-secret.ts'
import { webhookFailure, type WebhookHeaders } from '../../../token-service/webhooks/signed-webhook.ts'
import { installedPackages, requireFrom } from '../../fixtures/node-packages.ts'
import { aWebhookSecret, webhookSignature } from '../../fixtures/webhooks.ts'

const now = 1_800_000_000
const secret = aWebhookSecret()
const other = aWebhookSecret()
const body = '{"type":"user.deleted","data":{"id":"user_ä"}}'
const id = 'msg_2abc'

const signed = (over: Partial<WebhookHeaders> = {}): WebhookHeaders => {
  const headers = { id, timestamp: String(now), ...over }
  const content = `${headers.id}.${headers.timestamp}.${body}`
  return { signature: webhookSignature(secret, content), ...headers }
}
const judge = (headers: WebhookHeaders, sent: string | Buffer = body, secrets = secret): unknown =>
  webhookFailure(webhookKeys(secrets) ?? [], headers, Buffer.from(sent), now)

describe('a webhook is genuine', () => {
  test('as its sender signs it', () => expect(judge(signed())).toBeUndefined())

  test('with one right signature among several, while the sender changes its secret', () => {
    const content = `${id}.${now}.${body}`
    const [right, wrong] = [webhookSignature(secret, content), webhookSignature(other, content)]
    expect(judge(signed({ signature: `${wrong} ${right}` }))).toBeUndefined()
    expect(judge(signed({ signature: `v1a,abc ${right} v2,x` }))).toBeUndefined()
    expect(judge(signed({ signature: `${wrong} ${wrong}` }))).toBe('wrong-signature')
  })

  test('by one of several secrets of ours', () => {
    expect(judge(signed(), body, `${other}|${secret}`)).toBeUndefined()
    expect(judge(signed(), body, other)).toBe('wrong-signature')
  })

  test('within five minutes of its time, either way', () => {
    for (const seconds of [-300, 0, 300]) {
      expect(judge(signed({ timestamp: String(now + seconds) }))).toBeUndefined()
    }
    for (const seconds of [-301, 301, 10 ** 9]) {
      expect(judge(signed({ timestamp: String(now + seconds) }))).toBe('out-of-time')
    }
  })
})

describe('a webhook is refused', () => {
  const good = signed().signature
  test.each<[string, string | Buffer]>([
    ['another body', body.replace('deleted', 'created')],
    ['white space more', `${body} `],
    ['nothing', ''],
    [
      'other bytes that read as the same text',
      Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(body)]),
    ],
  ])('with %s under its signature', (_name, sent) => expect(judge(signed(), sent)).toBe('wrong-signature'))

  test.each<[string, Partial<WebhookHeaders>]>([
    ['another id', { id: 'msg_3', signature: good }],
    ['another time', { timestamp: String(now + 1), signature: good }],
    ['no signature', { signature: '' }],
    ['a signature of nothing', { signature: 'v1,' }],
    ['a signature without its version', { signature: good.slice(3) }],
    ['another version', { signature: good.replace('v1', 'v2') }],
    [
      'a signature in base64url',
      { signature: good.replaceAll('+', '-').replaceAll('/', '_').replace('=', '') },
    ],
    ['a signature with something behind it', { signature: `${good},x` }],
    ['two signatures and a comma between', { signature: `v1,x,${good}` }],
  ])('with %s', (_name, over) => expect(judge(signed(over))).toBe('wrong-signature'))

  test.each<[string, Partial<WebhookHeaders>]>([
    ['no id', { id: '' }],
    ['an id with a dot, which parts what is signed', { id: 'msg.1' }],
    ['an id of 257 characters', { id: 'i'.repeat(257) }],
    ['no time', { timestamp: '' }],
    ['a time that is no number', { timestamp: 'soon' }],
    ['a time in another spelling', { timestamp: `0${now}` }],
    ['a fraction as time', { timestamp: `${now}.5` }],
    ['twenty-one signatures', { signature: Array.from({ length: 21 }, () => good).join(' ') }],
  ])('with %s', (_name, over) => expect(judge(signed(over))).toBe('malformed-headers'))
})

interface StandardWebhooks {
  readonly Webhook: new (secret: string) => {
    sign(id: string, at: Date, body: string): string
    verify(body: string, headers: Record<string, string>): unknown
  }
}
interface ClerkWebhooks {
  readonly verifyWebhook: (request: Request, options: object) => Promise<unknown>
}

const directory = await installedPackages('official-verifiers')

describe.skipIf(directory === undefined)('the official libraries', () => {
  beforeAll(() => void vi.useFakeTimers({ toFake: ['Date'], now: now * 1_000 }))
  afterAll(() => void vi.useRealTimers())
  const standard = () => requireFrom<StandardWebhooks>(directory ?? '', 'standardwebhooks')
  const clerk = () => requireFrom<ClerkWebhooks>(directory ?? '', '@clerk/backend/webhooks')

  const theirs = {
    standardwebhooks: async (headers: WebhookHeaders, sent: string): Promise<boolean> => {
      const named = Object.entries(headers).map(([name, value]) => [`webhook-${name}`, String(value)])
      try {
        new (standard().Webhook)(secret).verify(sent, Object.fromEntries(named) as Record<string, string>)
        return true
      } catch {
        return false
      }
    },
    '@clerk/backend': async (headers: WebhookHeaders, sent: string): Promise<boolean> => {
      try {
        const named = Object.entries(headers).map(([name, value]) => [`svix-${name}`, String(value)])
        const request = new Request('https://tokens.example.com/', {
          method: 'POST',
          headers: Object.fromEntries(named) as Record<string, string>,
          body: sent,
        })
        await clerk().verifyWebhook(request, { signingSecret: secret })
        return true
      } catch {
        return false
      }
    },
  }

  test('sign what ours accepts', () => {
    const signature = new (standard().Webhook)(secret).sign(id, new Date(now * 1_000), body)
    expect(judge(signed({ signature }))).toBeUndefined()
  })

  test.each(Object.keys(theirs) as (keyof typeof theirs)[])(
    'accept all that ours accepts: %s',
    async (name) => {
      const change = fc.record(
        {
          id: fc.constantFrom('msg_2', 'a', '', 'x.y', ' ', 'ä'),
          timestamp: fc.oneof(
            fc.integer({ min: now - 400, max: now + 400 }).map(String),
            fc.constantFrom('', 'NaN', `${now}x`, `0${now}`, `${now}.0`, '-1'),
          ),
          signature: fc.oneof(fc.constantFrom('', 'v1,', 'v1', `v1a,x`, signed().signature), fc.string()),
        },
        { requiredKeys: [] },
      )
      const changes = fc.oneof({ weight: 2, arbitrary: fc.constant({} as Partial<WebhookHeaders>) }, change)
      const mangle = fc.constantFrom<(headers: WebhookHeaders) => WebhookHeaders>(
        (headers) => headers,
        (headers) => headers,
        (headers) => headers,
        (headers) => ({ ...headers, signature: `v1,x ${headers.signature}` }),
        (headers) => ({ ...headers, signature: headers.signature.slice(0, -1) }),
        (headers) => ({ ...headers, signature: headers.signature.toLowerCase() }),
      )
      const texts = fc.constantFrom(body, '{}', '[]', `${body}\n`, '{"a":1}')
      const counts = { both: 0, onlyTheirs: 0 }
      const property = fc.asyncProperty(
        changes,
        mangle,
        texts,
        fc.option(texts, { nil: undefined, freq: 2 }),
        async (over, change, signing, another) => {
          const sent = another ?? signing
          const { id: given = id, timestamp = String(now), signature } = over
          const right = webhookSignature(secret, `${given}.${timestamp}.${signing}`)
          const headers = change({ id: given, timestamp, signature: signature ?? right })
          const isOurs = judge(headers, sent) === undefined
          const isTheirs = await theirs[name](headers, sent)
          if (isOurs) expect(isTheirs, JSON.stringify({ headers, sent })).toBe(true)
          if (isOurs) counts.both += 1
          else if (isTheirs) counts.onlyTheirs += 1
        },
      )
      await fc.assert(property, { numRuns: 500, seed: 20_261_125 })
      expect(counts.both).toBeGreaterThan(20)
    },
  )
})
