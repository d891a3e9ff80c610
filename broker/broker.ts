import { setTimeout as pause } from 'node:timers/promises'
import type { Registry } from 'prom-client'
import type { Audit } from '#core/audit/audit.ts'
import type { AddressRanges } from '#core/network/address-ranges.ts'
import type { Clock } from '#core/clock.ts'
import type { OrganizationLabels } from '#core/metrics/organization-labels.ts'
import type { Log } from '#core/process/logger.ts'
import { type ControlLog, longestStalenessMs } from '#core/stores/control-log.ts'
import { defaultPerSubject } from '#core/credentials/renew-credential.ts'
import type { CredentialRenewer } from '#core/stores/credential-store.ts'
import type { FormerPasswordMarks } from '#core/stores/former-password-marks.ts'
import type { IdentityReader } from '#core/stores/identity-store.ts'
import type { PurgeMarks } from '#core/stores/purge-marks.ts'
import { ConnectThrottle, defaultThrottleLimits, type ThrottleLimits } from './admission/connect-throttle.ts'
import { ClientAuthorities } from './admission/client-authorities.ts'
import { Admissions } from './admission/admissions.ts'
import { createPasswordCheckMetrics } from './admission/password-check-metrics.ts'
import { PasswordChecks, type PasswordCheckLimits } from './admission/password-checks.ts'
import { confirmClaims } from './cluster/confirm-claims.ts'
import { ToldSubscriptions } from './cluster/told-subscriptions.ts'
import { returnToGroups } from './cluster/return-to-groups.ts'
import { WillPublisher } from './cluster/will-publisher.ts'
import { Connection } from './connection/connection.ts'
import { drain } from './connection/drain.ts'
import { FrameCache } from './connection/frame-cache.ts'
import { LiveConnections } from './connection/live-connections.ts'
import { Newcomers } from './connection/newcomers.ts'
import { type ControlMetrics, createControlMetrics } from './control/control-metrics.ts'
import { controlLogHandler } from './control/follow-control-log.ts'
import { SessionPurge } from './control/purge-sessions.ts'
import { StalenessWatch } from './control/staleness-watch.ts'
import { OrganizationPurge } from './deletion/organization-purge.ts'
import { createPurgeMetrics, type PurgeMetrics } from './deletion/purge-metrics.ts'
import { Denials } from './denials.ts'
import { FormerPasswords } from './former-passwords.ts'
import { defaultLimits, type Limits } from './limits.ts'
import type { Certificate } from './listeners/certificate-files.ts'
import { type ListenerAddresses, type ListenerName, openListeners } from './listeners/listeners.ts'
import { type BrokerMetrics, createBrokerMetrics } from './metrics.ts'
import type { Cluster } from './organizations/cluster.ts'
import { OrganizationPool } from './organizations/organization-pool.ts'

export interface BrokerOptions {
  readonly identities: IdentityReader
  readonly credentials: CredentialRenewer
  readonly controlLog: ControlLog
  readonly formerPasswords: FormerPasswordMarks
  /** How far what organizations have left is removed. */
  readonly purges: PurgeMarks
  /** Where sessions and retained messages lie, and how replicas meet. */
  readonly cluster: Cluster
  readonly listeners: ListenerAddresses
  /** The stores' time, in ms since the epoch. */
  readonly now: Clock
  readonly log: Log
  readonly audit: Audit
  readonly registry: Registry
  /** Which organizations have labels of their own. */
  readonly organizationLabels?: OrganizationLabels
  readonly limits?: Partial<Limits>
  readonly throttle?: Partial<ThrottleLimits>
  readonly passwordChecks?: Partial<PasswordCheckLimits>
  /** Exchanges and renewals a minute of one person. */
  readonly perSubject?: number
  /** Other processes of this machine listen on the same ports. */
  readonly reusePort?: boolean
  /** Who speaks for clients, and says so first (PROXY protocol). */
  readonly proxies?: AddressRanges
  /** Where MQTT 5 clients are told to go when this broker shuts down (MQTT 5 §4.11). */
  readonly serverReference?: string
  /** Nobody is served while the control log could not be read for so long. */
  readonly maxStalenessMs?: number
  /** What an organization has left is looked for again so long after it was removed; by default twice the time above. */
  readonly purgeSettleMs?: number
}

export interface Broker {
  /** The port of each listener that was asked for. */
  readonly ports: Readonly<Partial<Record<ListenerName, number>>>
  /** The control log could not be read for too long: nobody is served. */
  isStale(): boolean
  /** For the TLS handshakes to come. */
  useCertificate(certificate: Certificate): void
  /**
   * Takes new connections for `delayMs` more, which load balancers need to hear that this replica goes, and then sends
   * those there away in steps, over `overMs`.
   */
  drain(times: { readonly delayMs: number; readonly overMs: number }): Promise<void>
  /** Takes no new connections, tells those there goodbye, and resolves when all are gone. */
  close(): Promise<void>
}

const made = new WeakMap<
  Registry,
  {
    readonly metrics: BrokerMetrics
    readonly controlMetrics: ControlMetrics
    readonly purgeMetrics: PurgeMetrics
    readonly showPasswordLoad: ReturnType<typeof createPasswordCheckMetrics>
  }
>()

/** A start that is tried again counts on: prom-client refuses a second metric of a name. */
function metricsOf({ registry, organizationLabels }: BrokerOptions) {
  const known = made.get(registry)
  if (known !== undefined) return known
  const metrics = {
    metrics: createBrokerMetrics(registry, organizationLabels),
    controlMetrics: createControlMetrics(registry),
    purgeMetrics: createPurgeMetrics(registry),
    showPasswordLoad: createPasswordCheckMetrics(registry),
  }
  made.set(registry, metrics)
  return metrics
}

/**
 * One replica. Rejects with `port-in-use` or, when the control log can not be followed, `store-unavailable`;
 * then nothing is left open.
 */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const { identities, credentials, now, log, audit } = options
  const limits = { ...defaultLimits, ...options.limits }
  const { clients } = options.cluster
  const live = new LiveConnections<Connection>()
  const organizations = new OrganizationPool(options.cluster, log, (organization, batches) => {
    const connections = live.ofOrganization(organization)
    for (const { session } of connections) session?.delivery.lookForMissed()
    // A claim may have been among what was lost.
    if (batches > 0) void confirmClaims(connections, clients, log)
  })
  const purge = new SessionPurge({ identities, credentials, organizations, log })
  const { metrics, controlMetrics, purgeMetrics, showPasswordLoad } = metricsOf(options)
  const maxStalenessMs = options.maxStalenessMs ?? longestStalenessMs
  const organizationPurge = new OrganizationPurge({
    replica: options.cluster.replica,
    identities,
    marks: options.purges,
    remains: options.cluster.remains,
    isGone: (organization) => organizations.leave(organization),
    controlLog: options.controlLog,
    metrics: purgeMetrics,
    settleMs: options.purgeSettleMs ?? 2 * maxStalenessMs,
    now,
    log,
  })
  const authorities = new ClientAuthorities(identities, log)
  const parts = { live, purge, organizationPurge, authorities }
  const control = await options.controlLog.follow(
    controlLogHandler({ ...parts, metrics: controlMetrics, now }),
    options.cluster.replica,
  )
  controlMetrics.staleness(() => control.staleness())
  const stopFollowing = async (): Promise<void> => {
    purge.close()
    authorities.close()
    await organizationPurge.close()
    await control.close()
  }
  const membership = await options.cluster
    .enlist({
      lapsed: () => {
        void confirmClaims(live.all(), clients, log)
        void returnToGroups(live.all(), log)
      },
      gone: (replica, organization) =>
        organizations.use(organization, ({ persistence }) => persistence.leaveForReplica(replica)),
    })
    .catch(async (error) => {
      await stopFollowing()
      throw error
    })
  organizationPurge.start()
  await authorities.load()
  const passwords = new PasswordChecks(() => performance.now(), options.passwordChecks)
  showPasswordLoad(() => passwords.load())
  const admissions = new Admissions({ identities, credentials, now, passwords })
  const wills = new WillPublisher({
    registry: clients,
    accessOf: (organization, author) => admissions.accessOf(organization, author),
    publish: (organization, message) => organizations.publish(organization, message),
    metrics,
    log,
  })
  const connections = new Set<Connection>()
  const watch = new StalenessWatch({
    staleness: () => control.staleness(),
    mostMs: maxStalenessMs,
    endAll: () => {
      for (const connection of connections) if (connection.isLetIn) void connection.end('unavailable')
    },
    log,
  })
  const shared = {
    admissions,
    authorities,
    renewals: { identities, credentials, perSubject: options.perSubject ?? defaultPerSubject },
    organizations,
    clients,
    wills,
    live,
    limits,
    metrics,
    denials: new Denials({ metrics, audit, now }),
    formerPasswords: new FormerPasswords({ marks: options.formerPasswords, metrics, log, now }),
    frames: new FrameCache(),
    told: new ToldSubscriptions(clients),
    newcomers: new Newcomers(limits.maxNewcomers, limits.maxNewcomersOfAll),
    ...(options.serverReference === undefined ? {} : { serverReference: options.serverReference }),
    throttle: new ConnectThrottle({ ...defaultThrottleLimits, ...options.throttle }, () => performance.now()),
    watch,
    log,
    audit,
    now,
    gone: (connection: Connection) => void connections.delete(connection),
  }
  const listeners = await openListeners(options.listeners, {
    accept: (transport) => void connections.add(new Connection(transport, shared)),
    wantsCertificates: () => !authorities.isEmpty,
    newcomers: shared.newcomers,
    dropped: (why) => (why === 'too-many' ? metrics.limited('newcomers') : metrics.droppedEarly(why)),
    reusePort: options.reusePort === true,
    ...(options.proxies === undefined ? {} : { proxies: options.proxies }),
    maxFrameBytes: limits.maxPacketBytes,
    maxEarlyFrameBytes: limits.maxConnectBytes,
    handshakeTimeoutMs: limits.connectTimeoutMs,
  }).catch(async (error) => {
    watch.close()
    await wills.close()
    await membership.close()
    await stopFollowing()
    throw error
  })
  for (const name of listeners.keys()) metrics.opened(name)
  metrics.organizations(() => live.counts())
  const { cert } = options.listeners.mqtts ?? options.listeners.wss ?? {}
  if (cert !== undefined) metrics.certificate(cert)
  const closeListeners = (): Promise<unknown> =>
    Promise.all([...listeners.values()].map((listener) => listener.close()))
  return {
    ports: Object.fromEntries([...listeners].map(([name, { port }]) => [name, port])),
    isStale: () => watch.isStale,
    useCertificate(certificate) {
      metrics.certificate(certificate.cert)
      for (const listener of listeners.values()) listener.useCertificate?.(certificate)
    },
    async drain({ delayMs, overMs }) {
      metrics.draining()
      await pause(delayMs)
      await closeListeners()
      await drain({
        connections: () => [...connections],
        retire: (connection) => connection.retire(),
        overMs,
      })
    },
    async close() {
      watch.close()
      authorities.close()
      await closeListeners()
      await Promise.all([...connections].map((connection) => connection.end('shutting-down')))
      await wills.close()
      await organizationPurge.close()
      await membership.close()
      purge.close()
      await control.close()
      await organizations.close()
    },
  }
}
