import { X509Certificate } from 'node:crypto'
import { Counter, Gauge, type Registry } from 'prom-client'
import type { Action } from '#core/access/access-rule.ts'
import { type ClientRefusal, clientRefusals } from '#core/audit/audit-event.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { OrganizationLabels } from '#core/metrics/organization-labels.ts'
import { plainHistogram } from '#core/metrics/plain-histogram.ts'
import { readGauge } from '#core/metrics/read-gauge.ts'
import type { BusMetrics } from './bus/redis-bus.ts'
import type { WillOutcome } from './cluster/will-publisher.ts'
import { countByQos, countDenials, showOrganizations } from './metric-counts.ts'
import type { RefreshRefusal } from './handlers/refresh-credential.ts'
import { type EndCauseName, endCauses } from './connection/end-cause.ts'
import { type DroppedEarly, droppedEarly as earlyReasons } from './listeners/arrival.ts'

export const dropReasons = ['slow-consumer', 'packet-too-large', 'queue-full', 'retained-quota'] as const

/** What the broker counts. Labels are closed sets, no user or topic in them; denials name so many organizations. */
export interface BrokerMetrics {
  connected(listener: string): void
  ended(listener: string, cause: EndCauseName): void
  refused(reason: ClientRefusal): void
  received(qos: number): void
  delivered(qos: number): void
  denied(action: Action, organization: OrganizationId): void
  will(outcome: WillOutcome): void
  /** A client was told that its credential ends soon. */
  announcedExpiry(): void
  renewed(outcome: 'renewed' | RefreshRefusal): void
  /** A client was let in by a password that was rotated and ends. */
  formerPassword(): void
  throttled(): void
  /** A CONNECT was answered by `accepted`, so long after it had arrived whole. */
  connectTook(seconds: number): void
  limited(limit: 'newcomers' | 'subscriptions'): void
  opened(listener: string): void
  /** Clients now, by organization. */
  organizations(counts: () => Iterable<readonly [OrganizationId, number]>): void
  /** What the listeners show from now on: a chain in PEM. */
  certificate(chain: string): void
  /** A connection got no further than its listener. */
  droppedEarly(why: DroppedEarly): void
  /** From here on it sends its clients away. */
  draining(): void
  dropped(reason: (typeof dropReasons)[number]): void
}

const connectDurations = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export function createBrokerMetrics(
  registry: Registry,
  labels: OrganizationLabels = new OrganizationLabels(),
): BrokerMetrics {
  const registers = [registry]
  const counter = <const Label extends string>(
    name: string,
    help: string,
    ...labelNames: Label[]
  ): Counter<Label> => new Counter({ registers, name: `cloudsignal_broker_${name}`, help, labelNames })
  const connections = new Gauge({
    registers,
    name: 'cloudsignal_broker_connections',
    help: 'Clients connected now',
    labelNames: ['listener'],
  })
  const connects = counter('connects_total', 'Clients that were let in', 'listener')
  const refusals = counter('connects_refused_total', 'CONNECT packets that were refused', 'reason')
  const ends = counter('disconnects_total', 'Connections that ended', 'cause')
  const received = countByQos(registry, 'messages_received_total', 'Messages that clients published')
  const delivered = countByQos(registry, 'messages_delivered_total', 'Messages sent to clients')
  const throttles = counter(
    'throttled_total',
    'Messages that had to wait because a client published too fast',
  )
  const droppedEarly = counter(
    'connections_dropped_total',
    'Connections that ended before MQTT: a bad PROXY header, a handshake that failed or took too long',
    'reason',
  )
  const draining = new Gauge({
    registers,
    name: 'cloudsignal_broker_draining',
    help: '1 while it shuts down and sends its clients away',
  })
  const wills = counter('wills_total', 'Wills that were due, by what became of them', 'outcome')
  const notices = counter('expiry_notices_total', 'Clients that were told that their credential ends soon')
  const renewals = counter(
    'renewals_total',
    'Renewals of credentials over their own connection, by how they ended',
    'outcome',
  )
  const formerPasswords = counter(
    'former_password_connects_total',
    'Clients that were let in by a password that was rotated and ends soon',
  )
  let expiration: number | undefined
  readGauge(
    registry,
    'cloudsignal_broker_certificate_expiration_timestamp_seconds',
    'When the certificate of the listeners ends',
    () => expiration,
  )
  const drops = counter('messages_dropped_total', 'Messages that a client did not get', 'reason')
  const limits = counter('limited_total', 'What was refused because there was too much of it', 'limit')
  const took = plainHistogram(
    registry,
    'cloudsignal_broker_connect_duration_seconds',
    'Time from CONNECT read to CONNACK sent, of clients that were let in',
    connectDurations,
  )
  // Zero, not absent: an alert on an increase sees the first one too.
  for (const reason of clientRefusals) refusals.inc({ reason }, 0)
  for (const cause of Object.keys(endCauses)) ends.inc({ cause }, 0)
  for (const reason of dropReasons) drops.inc({ reason }, 0)
  for (const reason of earlyReasons) droppedEarly.inc({ reason }, 0)
  for (const outcome of ['published', 'denied', 'failed', 'damaged']) wills.inc({ outcome }, 0)
  renewals.inc({ outcome: 'renewed' }, 0)
  for (const limit of ['newcomers', 'subscriptions']) limits.inc({ limit }, 0)
  return {
    connected(listener) {
      connections.inc({ listener })
      connects.inc({ listener })
    },
    ended(listener, cause) {
      connections.dec({ listener })
      ends.inc({ cause })
    },
    refused: (reason) => refusals.inc({ reason }),
    received,
    delivered,
    denied: countDenials(registry, labels),
    will: (outcome) => wills.inc({ outcome }),
    announcedExpiry: () => notices.inc(),
    renewed: (outcome) => renewals.inc({ outcome }),
    formerPassword: () => formerPasswords.inc(),
    connectTook: took,
    limited: (limit) => limits.inc({ limit }),
    opened(listener) {
      connections.inc({ listener }, 0)
      connects.inc({ listener }, 0)
    },
    organizations: showOrganizations(registry, labels),
    throttled: () => throttles.inc(),
    certificate: (chain) => (expiration = new X509Certificate(chain).validToDate.getTime() / 1_000),
    droppedEarly: (reason) => droppedEarly.inc({ reason }),
    draining: () => draining.set(1),
    dropped: (reason) => drops.inc({ reason }),
  }
}

export function createBusMetrics(registry: Registry): BusMetrics {
  const counter = (name: string, help: string): Counter =>
    new Counter({ registers: [registry], name: `cloudsignal_broker_bus_${name}`, help })
  const foreign = counter('foreign_data_total', 'What came over the bus and was no frame of the bus')
  const interruptions = counter('interruptions_total', 'Times that the bus lost its connection')
  const asks = counter('asks_total', 'Requests for batches of messages that were missed')
  const lost = counter('lost_total', 'Batches of messages that were missed and that nobody has any more')
  return {
    foreignData: () => foreign.inc(),
    interrupted: () => interruptions.inc(),
    asked: () => asks.inc(),
    lost: (batches) => lost.inc(batches),
  }
}
