import { Agent, request as httpRequest } from 'node:http'
import type { Redis } from 'ioredis'
import { generateSecret } from '#core/credentials/secret.ts'
import { silentLog } from '#core/process/logger.ts'
import { apiKeyScopes } from '#core/resources/api-key.ts'
import { organizationRecordName } from '#core/stores/identity-records.ts'
import { connectRedis, untilReady } from '#core/stores/redis-connection.ts'
import { RedisControlLog } from '#core/stores/redis-control-log.ts'
import { RedisIdentityStore } from '#core/stores/redis-identity-store.ts'
import { redisKeys } from '#core/stores/redis-keys.ts'
import type { OpenApiDocument } from '../../../token-service/openapi/openapi-types.ts'
import { eventually } from '../../fixtures/eventually.ts'
import { forgeToken, type Issuer, startIssuer } from '../../fixtures/issuer.ts'
import { type RunningProgram, startProgram } from '../../fixtures/program.ts'
import { anApiKey, anOrganization, anOrganizationId, anotherOrganizationId } from '../../fixtures/records.ts'
import { type RedisServer, startRedisServer } from '../../fixtures/redis-server.ts'
import { aProviderOf, type Answer, claimsOf } from '../app-under-test.ts'
import type { FuzzRequest } from './requests.ts'

/** `node token-service/main.ts` over a real Redis, with an organization that opened all there is to open. */
export class FuzzedService {
  readonly program: RunningProgram
  readonly document: OpenApiDocument
  readonly secrets: readonly string[]
  readonly #url: URL
  readonly #parts: { readonly server: RedisServer; readonly redis: Redis; readonly issuer: Issuer }
  readonly #keys: Readonly<Record<string, string>>
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16 })
  /** What it gave out last. */
  #last: Readonly<Record<string, string>> = { id: 'tmp_a', username: 'tmp_a@org_k7xm4pqr2n5t', password: 'x' }
  #former = 'x'

  private constructor(
    program: RunningProgram,
    url: string,
    document: OpenApiDocument,
    keys: Readonly<Record<string, string>>,
    parts: { readonly server: RedisServer; readonly redis: Redis; readonly issuer: Issuer },
  ) {
    this.program = program
    this.document = document
    this.#url = new URL(url)
    this.#keys = keys
    this.#parts = parts
    this.secrets = Object.values(keys)
  }

  static async start(): Promise<FuzzedService> {
    const server = await startRedisServer()
    const issuer = await startIssuer()
    const redis = connectRedis(server.url, 'test', silentLog)
    await untilReady(redis, AbortSignal.timeout(10_000))
    const keys = await seed(redis, issuer)
    const program = startProgram('token-service', {
      CLOUDSIGNAL_REDIS_URL: server.url,
      CLOUDSIGNAL_PROBE_PORT: '0',
      CLOUDSIGNAL_PROBE_HOST: '127.0.0.1',
      CLOUDSIGNAL_TOKEN_SERVICE_HTTP_PORT: '0',
      CLOUDSIGNAL_TOKEN_SERVICE_HTTP_HOST: '127.0.0.1',
      CLOUDSIGNAL_TOKEN_SERVICE_ALLOW_PRIVATE_ISSUERS: 'true',
      CLOUDSIGNAL_TOKEN_SERVICE_TRUSTED_PROXIES: '127.0.0.1',
      CLOUDSIGNAL_TOKEN_SERVICE_SUBJECT_PER_MINUTE: '1000000',
      CLOUDSIGNAL_TOKEN_SERVICE_WITHOUT_KEY_PER_MINUTE: '1000000',
    })
    const { port, probes } = await program.logged('the token service is listening')
    await eventually('it is ready', async () => (await fetch(`http://127.0.0.1:${String(probes)}/readyz`)).ok)
    const url = `http://127.0.0.1:${String(port)}`
    const document = (await (await fetch(`${url}/openapi.json`)).json()) as OpenApiDocument
    return new FuzzedService(program, url, document, keys, { server, redis, issuer })
  }

  async send(request: FuzzRequest): Promise<Answer> {
    const fill = await this.#filler()
    const { method, headers, raw, body } = request
    const payload = raw ?? (body === undefined ? undefined : bodyOf(body, headers['content-type'], fill))
    const filled = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, fill(value)]))
    const hasLength = headers['transfer-encoding'] === undefined && payload !== undefined
    const answer = await this.#exchange(
      method,
      fill(request.path),
      { ...filled, ...(hasLength ? { 'content-length': String(payload.length) } : {}) },
      payload,
    )
    this.#remember(answer.body)
    return answer
  }

  /** That nothing of what went before keeps it from its work. */
  async exchange(): Promise<Answer> {
    const headers = { authorization: 'Bearer <secret key>', 'content-type': 'application/json' }
    return this.send({ method: 'POST', path: '/v1/token/exchange', headers, body: { token: '<token>' } })
  }

  get port(): number {
    return Number(this.#url.port)
  }

  get passwords(): readonly string[] {
    return [this.#former, this.#last['password'] ?? ''].filter((each) => each.startsWith('cs_mp_'))
  }

  async close(): Promise<void> {
    this.#agent.destroy()
    await this.program.kill()
    this.#parts.redis.disconnect()
    await this.#parts.issuer.close()
    await this.#parts.server.stop()
  }

  async #filler(): Promise<(text: string) => string> {
    const { issuer } = this.#parts
    // A few seconds ahead, within the tolerance: a revocation of everybody ends what was issued until then.
    const claims = claimsOf(issuer, Date.now() + 4_000)
    const old = { ...claims, iat: Number(claims['iat']) - 7_200, exp: Number(claims['iat']) - 3_600 }
    const values: Readonly<Record<string, string | undefined>> = {
      ...this.#keys,
      ...this.#last,
      'old password': this.#former,
      'unknown password': generateSecret('mp'),
      'unknown key': generateSecret('sk'),
      token: await issuer.sign(claims),
      'old token': await issuer.sign(old),
      'forged token': forgeToken({ alg: 'RS256', kid: issuer.keys.RS256.kid }, claims),
    }
    return (text) => text.replaceAll(/<([a-z ]+)>/g, (whole, name: string) => values[name] ?? whole)
  }

  #remember(body: Readonly<Record<string, unknown>>): void {
    const { id, username, password } = body
    if (typeof id !== 'string' || typeof username !== 'string' || typeof password !== 'string') return
    this.#former = this.#last['password'] ?? ''
    this.#last = { id, username, password }
  }

  #exchange(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    payload: Buffer | undefined,
  ): Promise<Answer> {
    const { hostname, port } = this.#url
    return new Promise((resolve, reject) => {
      const request = httpRequest(
        { hostname, port, method, path, headers, agent: this.#agent },
        (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.once('error', reject)
          response.once('end', () => {
            const text = Buffer.concat(chunks).toString('utf8')
            resolve({ status: response.statusCode ?? 0, headers: response.headers, text, body: jsonOf(text) })
          })
        },
      )
      request.setTimeout(10_000, () => request.destroy(new Error('no answer within 10 seconds')))
      request.once('error', reject)
      request.end(payload)
    })
  }
}

async function seed(redis: Redis, issuer: Issuer): Promise<Readonly<Record<string, string>>> {
  const names = redisKeys('cs')
  const identities = new RedisIdentityStore(redis, names, new RedisControlLog(redis, names))
  const exchange = { anonymous: true, public: { origins: ['*'] } }
  const keys = {
    'secret key': generateSecret('sk'),
    'publishable key': generateSecret('pk'),
    'poor key': generateSecret('sk'),
    'foreign key': generateSecret('sk'),
  }
  for (const id of [anOrganizationId, anotherOrganizationId]) {
    await identities.put('organization', id, organizationRecordName, anOrganization({ exchange }))
  }
  await identities.put('provider', anOrganizationId, 'oidc', aProviderOf(issuer))
  await identities.put('access-list', anOrganizationId, 'members', {
    rules: [{ effect: 'allow', actions: ['publish', 'subscribe'], topics: ['users/{user_id}/#'] }],
  })
  const all = apiKeyScopes
  const put = (name: string, key: string, over: object, organization = anOrganizationId): Promise<boolean> =>
    identities.put('api-key', organization, name, anApiKey(name, key, over, organization))
  await put('backend', keys['secret key'], { scopes: all, attributes: ['email', 'team'] })
  const browser = { type: 'publishable', origins: ['https://acme.example'] }
  await put('browser', keys['publishable key'], browser)
  await put('poor', keys['poor key'], { scopes: ['connect'] })
  await put('foreign', keys['foreign key'], { scopes: all }, anotherOrganizationId)
  await identities.markReady()
  return keys
}

function bodyOf(body: unknown, type: string | undefined, fill: (text: string) => string): Buffer {
  const isForm = type === 'application/x-www-form-urlencoded' && typeof body === 'object' && body !== null
  if (!isForm) return Buffer.from(fill(JSON.stringify(body)))
  const pairs = Object.entries(body).flatMap(([name, value]) =>
    [value].flat().map((each) => [name.toWellFormed(), fill(String(each)).toWellFormed()]),
  )
  return Buffer.from(new URLSearchParams(pairs).toString())
}

function jsonOf(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
