import type { AddressInfo } from 'node:net'
import { Registry } from 'prom-client'
import type { Audit } from '#core/audit/audit.ts'
import { createKeptAudit } from '#core/audit/kept-audit.ts'
import { type Clock, systemClock } from '#core/clock.ts'
import { isDomainError } from '#core/errors.ts'
import type { Log } from '#core/process/logger.ts'
import { listenError, startProbeServer } from '#core/process/probe-server.ts'
import { Shutdown } from '#core/process/shutdown.ts'
import { describeLocation, redisLocation } from '#core/redis/redis-location.ts'
import type { SealingKeys } from '#core/sealing/sealing-keys.ts'
import { startBroker } from '../broker/broker.ts'
import { createReconcilers } from '../operator/reconcilers/index.ts'
import { buildApp } from '../token-service/app.ts'
import type { ProviderAsker } from '../token-service/live-checks/provider-asker.ts'
import type { DocumentFetcher } from '../token-service/verifier/document-fetcher.ts'
import { guardedAsk, guardedFetch } from '../token-service/verifier/guarded-fetch.ts'
import { type Certificates, provideCertificates } from './certificates.ts'
import { GeneratedSecrets } from './generated-secrets.ts'
import { ManifestDirectory } from './manifest-directory.ts'
import { ManifestUsers } from './manifest-users.ts'
import { ReconcileLoop } from './reconcile-loop.ts'
import { StandaloneHost } from './standalone-host.ts'
import { provideSealingKeys } from './sealing.ts'
import { StateDirectory } from './state-directory.ts'
import { memoryStores, redisStores, type Stores } from './stores.ts'

export interface StandaloneOptions {
  /** Directory of manifests; watched. */
  readonly manifests: string
  /** Directory for what must survive a restart; an opened one is used as it is. */
  readonly state: string | StateDirectory
  /** Address of every listener. */
  readonly host: string
  /** 0 takes a free one. */
  readonly ports: Readonly<Record<'mqtts' | 'wss' | 'http' | 'probes', number>>
  /** Also of Sentinels or of a Cluster; in memory when absent. */
  readonly redisUrl?: string
  /** Of the stores in memory; Redis has its own. */
  readonly now?: Clock
  /** How documents of issuers are read; over the network when absent. */
  readonly fetchDocument?: DocumentFetcher
  /** How providers are asked about their users; over the network when absent. */
  readonly askProvider?: ProviderAsker
  readonly log: Log
  /** Of its metrics. */
  readonly registry?: Registry
  /** Tells people what becomes of their manifests, a line at a time. */
  readonly say?: (line: string) => void
  /** Ends the start, which may wait for Redis. */
  readonly signal?: AbortSignal
}

/** Operator, token service and broker in this process, over a directory of manifests. */
export interface Standalone {
  readonly ports: StandaloneOptions['ports']
  readonly certificates: Certificates
  /** The resources, their statuses and generated Secrets. */
  readonly host: StandaloneHost
  close(): Promise<void>
}

/**
 * Resolves once every object was reconciled and clients can connect. Rejects with `port-in-use`,
 * `invalid-settings` or `record-damaged`, with nothing left open.
 */
export async function startStandalone(options: StandaloneOptions): Promise<Standalone> {
  const shutdown = new Shutdown(options.log)
  try {
    return await compose(options, shutdown)
  } catch (error) {
    await shutdown.run()
    throw error
  }
}

async function compose(options: StandaloneOptions, shutdown: Shutdown): Promise<Standalone> {
  const { log, say = () => {}, signal = new AbortController().signal } = options
  const state = typeof options.state === 'string' ? await StateDirectory.open(options.state) : options.state
  const { registry = new Registry() } = options
  const stores = await openStores(options, shutdown, signal, registry)
  // One log for people: its own level decides.
  const audit = createKeptAudit('standalone', stores.auditTrail, {
    level: 'all',
    write: log.info.bind(log),
    registry,
    now: systemClock,
  })
  shutdown.add('audit', () => audit.close())
  const certificates = await provideCertificates(state, stores.now)
  const secrets = await GeneratedSecrets.open(state)
  const sealing = await provideSealingKeys(state)
  const manifests = await ManifestDirectory.open({ path: options.manifests, state, now: stores.now, say })
  shutdown.add('manifests', () => manifests.close())
  const host = await StandaloneHost.open({ manifests, secrets, say })

  const broker = await openBroker(options, stores, certificates, { audit, registry })
  shutdown.add('broker', () => broker.close())
  const endpoints = endpointsOf(options.host, broker.ports)
  const userResources = new ManifestUsers(manifests, host)
  const parts = { sealing, userResources, audit, registry }
  const http = await openTokenService(options, stores, endpoints, parts)
  shutdown.add('token service', http.close)

  const reconcilers = createReconcilers({
    host,
    store: stores.identities,
    keyUses: stores.keyUses,
    now: stores.now,
    log,
    installation: 'standalone',
    formerPasswords: stores.formerPasswords,
    purges: stores.purges,
    sealing,
    endpoints,
  })
  const loop = new ReconcileLoop({ host, reconcilers, markReady: () => stores.identities.markReady(), log })
  shutdown.add('reconcilers', () => loop.stop())
  let isReconciled = false
  const probes = await startProbeServer({
    host: options.host,
    port: options.ports.probes,
    registry,
    readiness: {
      manifests: () => (isReconciled ? undefined : 'not all are reconciled yet'),
      stores: stores.problem,
    },
  })
  shutdown.add('probes', () => probes.close())
  await loop.start(signal)
  isReconciled = true
  return {
    ports: { ...endpoints.ports, http: http.port, probes: probes.port },
    certificates,
    host,
    close: () => shutdown.run(),
  }
}

async function openStores(
  { redisUrl, now, log, say }: StandaloneOptions,
  shutdown: Shutdown,
  signal: AbortSignal,
  registry: Registry,
): Promise<Stores> {
  if (redisUrl === undefined) return memoryStores(now)
  const location = redisLocation(redisUrl)
  const patience = setTimeout(() => say?.(`waiting for Redis at ${describeLocation(location)}`), 1_000)
  try {
    return await redisStores(location, log, shutdown, signal, registry)
  } finally {
    clearTimeout(patience)
  }
}

interface Observed {
  readonly audit: Audit
  readonly registry: Registry
}

function openBroker(
  options: StandaloneOptions,
  stores: Stores,
  { cert, key }: Certificates,
  observed: Observed,
) {
  const address = { host: options.host, cert, key }
  return startBroker({
    ...stores,
    listeners: {
      mqtts: { ...address, port: options.ports.mqtts },
      wss: { ...address, port: options.ports.wss },
    },
    log: options.log,
    ...observed,
  })
}

/** Where clients reach what listens on `host`. */
function endpointsOf(host: string, ports: Readonly<Partial<Record<'mqtts' | 'wss', number>>>) {
  const { mqtts = 0, wss = 0 } = ports
  const reachable = host === '0.0.0.0' || host === '::' ? 'localhost' : host
  return { host: reachable, mqttsPort: mqtts, wssPort: wss, ports: { mqtts, wss } }
}

interface TokenServiceParts extends Observed {
  readonly sealing: SealingKeys
  readonly userResources: ManifestUsers
}

async function openTokenService(
  { host, ports, log, fetchDocument, askProvider }: StandaloneOptions,
  { identities, credentials, controlLog, cluster, keyUses, marks, auditTrail, limiter, now }: Stores,
  endpoints: ReturnType<typeof endpointsOf>,
  { sealing, userResources, ...observed }: TokenServiceParts,
): Promise<{ readonly port: number; readonly close: () => Promise<void> }> {
  const app = buildApp({
    identities,
    credentials,
    control: controlLog,
    sessions: cluster.sessions,
    keyUses,
    marks,
    auditTrail,
    limiter,
    userResources,
    // Whoever runs standalone writes the manifests too; the demo issuer is on the loopback.
    fetchDocument: fetchDocument ?? guardedFetch({ allowPrivateIssuers: true }),
    askProvider: askProvider ?? guardedAsk({ allowPrivateIssuers: true }),
    sealing,
    now,
    log,
    ...observed,
    endpoints: {
      mqtts: `mqtts://${endpoints.host}:${endpoints.mqttsPort}`,
      wss: `wss://${endpoints.host}:${endpoints.wssPort}/`,
    },
  })
  try {
    await app.listen({ port: ports.http, host })
  } catch (error) {
    await app.close()
    if (isDomainError(error)) throw error
    throw listenError(error as NodeJS.ErrnoException, ports.http, host)
  }
  return { port: (app.server.address() as AddressInfo).port, close: () => app.close() }
}
