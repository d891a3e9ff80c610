import { Registry } from 'prom-client'
import { createAudit } from '#core/audit/audit.ts'
import { type AuditEvent, auditEvents } from '#core/audit/audit-event.ts'
import type { ApiKeyRecord } from '#core/credentials/api-key-record.ts'
import { generateSecret } from '#core/credentials/secret.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import type { Log } from '#core/process/logger.ts'
import type { ControlEntry } from '#core/stores/control-log.ts'
import { defaultTrailBounds } from '#core/stores/audit-trail.ts'
import { MemoryAuditTrail } from '#core/stores/memory-audit-trail.ts'
import { MemoryApiKeyUses } from '#core/stores/memory-api-key-uses.ts'
import { MemoryBarriers } from '#core/stores/memory-barriers.ts'
import { MemoryControlLog } from '#core/stores/memory-control-log.ts'
import { MemoryCredentialStore } from '#core/stores/memory-credential-store.ts'
import { MemoryIdentityStore } from '#core/stores/memory-identity-store.ts'
import { MemoryMarks } from '#core/stores/memory-marks.ts'
import { MemoryRateLimiter } from '#core/stores/memory-rate-limiter.ts'
import { organizationRecordName } from '#core/stores/identity-records.ts'
import { MemoryClientRegistry } from '../../broker/cluster/memory-client-registry.ts'
import { MemorySessionDirectory } from '../../broker/organizations/memory-session-directory.ts'
import type { App, AppDependencies } from '../../token-service/app.ts'
import { buildApp } from '../../token-service/app.ts'
import { guardedAsk, guardedFetch } from '../../token-service/verifier/guarded-fetch.ts'
import { asWritten } from '../fixtures/audit.ts'
import { type Issuer, startIssuer } from '../fixtures/issuer.ts'
import { testSealing } from '../fixtures/sealing.ts'
import { expectDocumented } from './documented-answers.ts'
import { anApiKey, anOrganization, anOrganizationId, aProvider } from '../fixtures/records.ts'

/** The whole service on stores in memory, with one organization, one issuer and a secret key. */
export interface AppUnderTest {
  readonly app: App
  readonly issuer: Issuer
  readonly identities: MemoryIdentityStore
  readonly credentials: MemoryCredentialStore
  readonly registry: Registry
  readonly auditTrail: MemoryAuditTrail
  readonly control: readonly ControlEntry[]
  /** Everything that was logged, as text. */
  readonly logged: string[]
  /** A secret key of the organization with the scopes exchange, revoke and tokens:create. */
  readonly secretKey: string
  /** A publishable key for the origin https://acme.example. */
  readonly publishableKey: string
  /** The claims of a good token, with `over` put over them. */
  token(over?: Record<string, unknown>): Promise<string>
  now(): number
  pass(ms: number): void
  exchange(body: unknown, key?: string, headers?: Record<string, string>): Promise<Answer>
  /** POST with the secret key, unless another one or none is given. */
  post(url: string, body: unknown, key?: string, headers?: Record<string, string>): Promise<Answer>
  get(url: string, key?: string): Promise<Answer>
  putKey(secret: string, over?: Partial<ApiKeyRecord>): Promise<void>
  close(): Promise<void>
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly text: string
  readonly body: Record<string, unknown>
}

export async function startApp(over: Partial<AppDependencies> = {}): Promise<AppUnderTest> {
  const issuer = await startIssuer()
  let now = Date.now()
  const control: ControlEntry[] = []
  const log = new MemoryControlLog()
  await log.follow({ entry: (entry) => void control.push(entry), gap() {} })
  const barriers = new MemoryBarriers(() => now)
  const identities = new MemoryIdentityStore(log, barriers)
  const credentials = new MemoryCredentialStore(log, () => now, barriers)
  const secretKey = generateSecret('sk')
  const publishableKey = generateSecret('pk')
  await addOrganization(identities, anOrganizationId)
  await identities.put('provider', anOrganizationId, 'oidc', aProviderOf(issuer))
  const scopes = ['exchange', 'revoke', 'tokens:create'] as const
  await identities.put(
    'api-key',
    anOrganizationId,
    'backend',
    anApiKey('backend', secretKey, { scopes: [...scopes] }),
  )
  await identities.put(
    'api-key',
    anOrganizationId,
    'browser',
    anApiKey('browser', publishableKey, { type: 'publishable', origins: ['https://acme.example'] }),
  )
  await identities.markReady()
  const { logged, log: capturing } = capturingLog()
  const registry = new Registry()
  const auditTrail = new MemoryAuditTrail(defaultTrailBounds, () => now)
  const keep = (event: AuditEvent): void => {
    const kept = { ...event, time: new Date(now).toISOString(), program: 'token-service' }
    if (event.organization === undefined) return
    void auditTrail.append(event.organization as OrganizationId, auditEvents[event.event].nature, [kept])
  }
  const app = buildApp({
    identities,
    credentials,
    control: log,
    sessions: new MemorySessionDirectory('here', new MemoryClientRegistry(() => now), new Map()),
    keyUses: new MemoryApiKeyUses(),
    marks: new MemoryMarks(() => now),
    limiter: new MemoryRateLimiter(() => now),
    fetchDocument: guardedFetch({ allowPrivateIssuers: true }),
    askProvider: guardedAsk({ allowPrivateIssuers: true }),
    sealing: testSealing,
    now: () => now,
    log: capturing,
    audit: createAudit({
      level: 'all',
      write: (event, message) => capturing.info(asWritten(event), message),
      keep,
      registry,
      now: () => now,
    }),
    auditTrail,
    registry,
    ...over,
  })
  const post: AppUnderTest['post'] = (url, body, key = secretKey, headers = {}) =>
    send(app, 'POST', url, body, { ...(key === '' ? {} : { authorization: `Bearer ${key}` }), ...headers })
  return {
    app,
    issuer,
    identities,
    credentials,
    registry,
    auditTrail,
    control,
    logged,
    secretKey,
    publishableKey,
    token: (claims = {}) => issuer.sign({ ...claimsOf(issuer, now), ...claims }),
    now: () => now,
    pass: (ms) => void (now += ms),
    exchange: (body, key = secretKey, headers = {}) => post('/v1/token/exchange', body, key, headers),
    post,
    get: (url, key = secretKey) => send(app, 'GET', url, undefined, { authorization: `Bearer ${key}` }),
    putKey: async (secret, record = {}) => {
      const name = record.uid ?? 'own'
      await identities.put('api-key', anOrganizationId, name, anApiKey(name, secret, record))
    },
    close: async () => {
      await app.close()
      await issuer.close()
    },
  }
}

export function aProviderOf(issuer: Issuer): ReturnType<typeof aProvider> {
  return aProvider({
    uid: `uid-${issuer.url}`,
    settings: { issuer: issuer.url, audience: ['app'] },
    lists: ['members'],
  })
}

export function claimsOf(issuer: Issuer, now: number): Record<string, unknown> {
  const seconds = Math.floor(now / 1000)
  return { iss: issuer.url, aud: 'app', sub: 'ada', iat: seconds, exp: seconds + 3600 }
}

export async function addOrganization(
  identities: MemoryIdentityStore,
  id: OrganizationId,
  over: Parameters<typeof anOrganization>[0] = {},
): Promise<void> {
  await identities.put('organization', id, organizationRecordName, anOrganization(over))
}

export async function send(
  app: App,
  method: 'POST' | 'DELETE' | 'GET' | 'PUT' | 'PATCH',
  url: string,
  body: unknown,
  headers: Record<string, string>,
): Promise<Answer> {
  const type = body === undefined ? {} : { 'content-type': 'application/json' }
  const payload =
    body === undefined ? {} : { payload: typeof body === 'string' ? body : JSON.stringify(body) }
  const response = await app.inject({ method, url, ...payload, headers: { ...type, ...headers } })
  const answer: Answer = {
    status: response.statusCode,
    headers: response.headers,
    text: response.body,
    body: response.body === '' ? {} : (JSON.parse(response.body) as Record<string, unknown>),
  }
  await expectDocumented(app, method, url, answer)
  return answer
}

function capturingLog(): { readonly logged: string[]; readonly log: Log } {
  const logged: string[] = []
  const write = (fields: object, message: string): void =>
    void logged.push(JSON.stringify({ ...fields, message }))
  return { logged, log: { debug: write, info: write, warn: write, error: write } }
}

/** The same store with some of its methods replaced. */
export function withMethods<Store extends object>(store: Store, methods: Partial<Store>): Store {
  return new Proxy(store, {
    get(target, name) {
      const method: unknown = Reflect.get(methods, name) ?? Reflect.get(target, name)
      return typeof method === 'function' ? method.bind(target) : method
    },
  })
}
