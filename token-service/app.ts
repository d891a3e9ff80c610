import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import {
  type FastifyBaseLogger,
  fastify,
  type FastifyInstance,
  type RawReplyDefaultExpression,
  type RawRequestDefaultExpression,
  type RawServerDefault,
} from 'fastify'
import type { Registry } from 'prom-client'
import type { Audit } from '#core/audit/audit.ts'
import type { Clock } from '#core/clock.ts'
import type { Log } from '#core/process/logger.ts'
import type { AuditTrailReader } from '#core/stores/audit-trail.ts'
import type { ApiKeyUses } from '#core/stores/api-key-uses.ts'
import type { ControlLogWitness, ControlLogWriter } from '#core/stores/control-log.ts'
import type { CredentialStore } from '#core/stores/credential-store.ts'
import type { SealingKeys } from '#core/sealing/sealing-keys.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import type { Marks } from '#core/stores/marks.ts'
import type { RateLimiter } from '#core/stores/rate-limiter.ts'
import type { SessionDirectory } from '#core/stores/session-directory.ts'
import { KeyUses } from './callers/key-uses.ts'
import { LeasingLimiter } from './limits/leasing-limiter.ts'
import { LoadShedder } from './limits/load-shedder.ts'
import { defaultRates, type RateSettings, RequestLimits } from './limits/request-limits.ts'
import { createTokenServiceMetrics } from './metrics.ts'
import { answerPreflights } from './plugins/cross-origin.ts'
import { closeConnectionsAtEnd } from './plugins/closing-connections.ts'
import { OpenApi } from './openapi/document.ts'
import { answerBrokenRequest, answerErrors, answerFrameworkError } from './plugins/error-response.ts'
import { collectMethods } from './plugins/known-methods.ts'
import { defaultMostPerSubject } from './issuing/exchange-identity.ts'
import { EndedSessions } from './issuing/ended-sessions.ts'
import { sheddingServer } from './plugins/overload.ts'
import { requestIds, tellRequestIds } from './plugins/request-ids.ts'
import { checkRequests } from './plugins/request-schema.ts'
import { auditRoute } from './routes/audit.ts'
import { createTokenRoute } from './routes/create-token.ts'
import type { Endpoints } from './routes/credential-answer.ts'
import { documentationRoutes } from './routes/documentation.ts'
import { explainAccessRoute } from './routes/explain-access.ts'
import { exchangeTokenRoute } from './routes/exchange-token.ts'
import { listTokensRoute } from './routes/list-tokens.ts'
import { oauthTokenRoute } from './routes/oauth2/exchange-token.ts'
import { refreshTokenRoute } from './routes/refresh-token.ts'
import { confirmWithinMs, revocationsRoute } from './routes/revocations.ts'
import { sessionsRoutes } from './routes/sessions.ts'
import { revokeTokenRoute } from './routes/revoke-token.ts'
import { changeUserRoute } from './routes/users/change-user.ts'
import { createUserRoute } from './routes/users/create-user.ts'
import { deleteUserRoute } from './routes/users/delete-user.ts'
import { readUsersRoutes } from './routes/users/read-users.ts'
import { rotatePasswordRoute } from './routes/users/rotate-password.ts'
import { v2CreateTokenRoute } from './routes/v2/create-token.ts'
import { v2ExchangeTokenRoute } from './routes/v2/exchange-token.ts'
import { v2ProvidersRoute } from './routes/v2/providers.ts'
import { v2RefreshTokenRoute } from './routes/v2/refresh-token.ts'
import type { UserResources } from './users/user-resources.ts'
import { Users } from './users/users.ts'
import { LiveChecks } from './live-checks/live-checks.ts'
import type { ProviderAsker } from './live-checks/provider-asker.ts'
import { webhooksRoute } from './routes/webhooks.ts'
import type { DocumentFetcher } from './verifier/document-fetcher.ts'
import { IssuerKeys } from './verifier/issuer-keys.ts'

export type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>

export interface AppDependencies {
  readonly identities: IdentityReader
  readonly credentials: CredentialStore
  /** Where the brokers are told what has to end, and tell when they have done it. */
  readonly control: ControlLogWitness & ControlLogWriter
  readonly sessions: SessionDirectory
  /** Where it is noted that an API key was used. */
  readonly keyUses: ApiKeyUses
  /** Which webhooks came, and which sessions of providers ended. */
  readonly marks: Marks
  /** How documents of issuers are read: `guardedFetch(...)`, or a test's own. */
  readonly fetchDocument: DocumentFetcher
  /** How providers are asked about their users: `guardedAsk(...)`, or a test's own. */
  readonly askProvider: ProviderAsker
  /** Opens secrets of providers. */
  readonly sealing: SealingKeys | undefined
  readonly now: Clock
  readonly log: Log
  readonly audit: Audit
  /** What is read of what was audited lately. */
  readonly auditTrail: AuditTrailReader
  readonly registry: Registry
  /** Shown to callers: where to connect with what they got. */
  readonly endpoints?: Endpoints
  /** Live credentials that one principal may have; those that end first make room. */
  readonly mostPerSubject?: number
  readonly limiter: RateLimiter
  readonly rates?: Partial<RateSettings>
  /** Where permanent users are kept; without it the Users API is not enabled. */
  readonly userResources?: UserResources
  /** How long a change of a user is waited for until it is in force. */
  readonly settleMs?: number
  /** Whose word is taken for the address of a client (X-Forwarded-For): addresses and subnets. */
  readonly trustedProxies?: readonly string[]
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly limits: RequestLimits
    readonly keyUses: KeyUses
  }
}

const bodyLimit = 32 * 1024
const defaultSettleMs = 3_000

/** The whole service without listening: `await app.listen({ port, host })`, or `app.inject(...)` in a test. */
export function buildApp({
  fetchDocument,
  askProvider,
  endpoints = {},
  mostPerSubject = defaultMostPerSubject,
  rates = {},
  trustedProxies = [],
  userResources,
  settleMs = defaultSettleMs,
  keyUses,
  ...dependencies
}: AppDependencies): App {
  const { log, audit, now, registry, limiter } = dependencies
  const metrics = createTokenServiceMetrics(registry)
  const app = fastify({
    bodyLimit,
    requestTimeout: 15_000,
    serverFactory: sheddingServer(new LoadShedder(), metrics.shed),
    trustProxy: trustedProxies.length === 0 ? false : [...trustedProxies],
    return503OnClosing: false,
    frameworkErrors: answerFrameworkError(log),
    clientErrorHandler: answerBrokenRequest,
    routerOptions: { maxParamLength: 128 },
    exposeHeadRoutes: false,
    genReqId: requestIds(),
  }).withTypeProvider<TypeBoxTypeProvider>()
  app.decorateRequest('caller', null)
  app.decorateRequest('audited')
  app.addHook('onRequest', (request, reply, done) => {
    request.audited = {}
    reply.header('cache-control', 'no-store')
    done()
  })
  tellRequestIds(app)
  answerPreflights(app)
  closeConnectionsAtEnd(app)
  answerErrors(app, { log, audit, onLimited: metrics.limited })
  checkRequests(app)

  const keys = new IssuerKeys({
    fetch: fetchDocument,
    now,
    sealing: dependencies.sealing,
    watch: metrics.documents,
  })
  const liveChecks = new LiveChecks({
    ask: askProvider,
    keys,
    sealing: dependencies.sealing,
    now,
    onAsked: metrics.askedLive,
  })
  metrics.showDocuments((document) => keys.counts(document))
  app.addHook('onResponse', (request, reply, done) => {
    const { method, url = 'none' } = request.routeOptions
    metrics.answered(String(method), url, reply.statusCode, reply.elapsedTime / 1_000)
    done()
  })
  const allRates = { ...defaultRates, ...rates }
  const limits = new RequestLimits({
    limiter: new LeasingLimiter(limiter, now),
    rates: allRates,
    now,
  })
  app.decorate('limits', limits)
  app.decorate('keyUses', new KeyUses({ uses: keyUses, now, log }))
  const options = {
    ...dependencies,
    keys,
    liveChecks,
    endedSessions: new EndedSessions(dependencies.marks),
    metrics,
    endpoints,
    mostPerSubject,
    perSubject: allRates.perSubject,
    users:
      userResources &&
      new Users({ ...dependencies, resources: userResources, settleMs, confirmMs: confirmWithinMs }),
  }
  const methods = collectMethods(app)
  const openApi = new OpenApi()
  app.addHook('onRoute', (route) => openApi.add(route))
  exchangeTokenRoute(app, options)
  createTokenRoute(app, options)
  listTokensRoute(app, options)
  refreshTokenRoute(app, options)
  revokeTokenRoute(app, options)
  revocationsRoute(app, options)
  sessionsRoutes(app, options)
  createUserRoute(app, options)
  readUsersRoutes(app, options)
  changeUserRoute(app, options)
  rotatePasswordRoute(app, options)
  deleteUserRoute(app, options)
  explainAccessRoute(app, options)
  auditRoute(app, options)
  webhooksRoute(app, options)
  v2ExchangeTokenRoute(app, options)
  v2CreateTokenRoute(app, options)
  v2RefreshTokenRoute(app, options)
  v2ProvidersRoute(app, options)
  oauthTokenRoute(app, options)
  documentationRoutes(app, openApi)
  methods.refuseOthers()
  return app
}
