import { X509Certificate } from 'node:crypto'
import { Counter, Gauge, type Registry } from 'prom-client'
import type { Action } from '#core/access/access-rule.ts'
import type { ClientRefusal } from '#core/audit/audit-event.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'
import { readGauge } from '#core/process/read-gauge.ts'
import type { BusMetrics } from './bus/redis-bus.ts'
import type { WillOutcome } from './cluster/will-publisher.ts'
import type { RefreshRefusal } from './handlers/refresh-credential.ts'
import type { EndCauseName } from './connection/end-cause.ts'

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
  /** What the listeners show from now on: a chain in PEM. */
  certificate(chain: string): void
  /** From here on it sends its clients away. */
  draining(): void
  dropped(reason: 'slow-consumer' | 'packet-too-large' | 'queue-full' | 'retained-quota'): void
}

export function createBrokerMetrics(registry: Registry): BrokerMetrics {
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
    denied: countByOrganization(registry, 'denied_total', 'Requests that access lists denied'),
    will: (outcome) => wills.inc({ outcome }),
    announcedExpiry: () => notices.inc(),
    renewed: (outcome) => renewals.inc({ outcome }),
    formerPassword: () => formerPasswords.inc(),
    throttled: () => throttles.inc(),
    certificate: (chain) => (expiration = new X509Certificate(chain).validToDate.getTime() / 1_000),
    draining: () => draining.set(1),
    dropped: (reason) => drops.inc({ reason }),
  }
}

/** Counted for every message: plain numbers, that become a metric only when somebody asks. */
function countByQos(registry: Registry, name: string, help: string): (qos: number) => void {
  const counts = [0, 0, 0]
  const counter = new Counter({
    registers: [registry],
    name: `cloudsignal_broker_${name}`,
    help,
    labelNames: ['qos'],
    collect() {
      counter.reset()
      for (const [qos, count] of counts.entries()) counter.inc({ qos }, count)
    },
  })
  return (qos) => {
    counts[qos] = (counts[qos] ?? 0) + 1
  }
}

/** As many organizations as have a label of their own; all after them are `other`. */
const mostOrganizations = 200

/** Whoever floods what is denied makes this as hot as `countByQos`. */
function countByOrganization(
  registry: Registry,
  name: string,
  help: string,
): (action: Action, organization: OrganizationId) => void {
  const counts = new Map<string, Record<Action, number>>()
  const counter = new Counter({
    registers: [registry],
    name: `cloudsignal_broker_${name}`,
    help,
    labelNames: ['organization', 'action'],
    collect() {
      counter.reset()
      for (const [organization, byAction] of counts) {
        for (const [action, count] of Object.entries(byAction)) {
          if (count > 0) counter.inc({ organization, action }, count)
        }
      }
    },
  })
  return (action, organization) => {
    const label = counts.has(organization) || counts.size < mostOrganizations ? organization : 'other'
    const found = counts.get(label)
    if (found === undefined) counts.set(label, { publish: 0, subscribe: 0, [action]: 1 })
    else found[action] += 1
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
