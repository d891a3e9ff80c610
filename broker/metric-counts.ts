import { Counter, Gauge, type Registry } from 'prom-client'
import type { Action } from '#core/access/access-rule.ts'
import type { OrganizationLabels } from '#core/metrics/organization-labels.ts'
import type { OrganizationId } from '#core/organizations/organization-id.ts'

/** Counted for every message: plain numbers, that become a metric only when somebody asks. */
export function countByQos(registry: Registry, name: string, help: string): (qos: number) => void {
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

/** Whoever floods what is denied makes this as hot as `countByQos`. */
export function countDenials(
  registry: Registry,
  labels: OrganizationLabels,
): (action: Action, organization: OrganizationId) => void {
  const counts = new Map<string, Record<Action, number>>()
  const counter = new Counter({
    registers: [registry],
    name: 'cloudsignal_broker_denied_total',
    help: 'Requests that access lists denied',
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
    const label = labels.of(organization)
    const found = counts.get(label)
    if (found === undefined) counts.set(label, { publish: 0, subscribe: 0, [action]: 1 })
    else found[action] += 1
  }
}

/** Organizations with clients here, and how many each has. */
export function showOrganizations(
  registry: Registry,
  labels: OrganizationLabels,
): (counts: () => Iterable<readonly [OrganizationId, number]>) => void {
  let counts: () => Iterable<readonly [OrganizationId, number]> = () => []
  const organizations: Gauge = new Gauge({
    registers: [registry],
    name: 'cloudsignal_broker_organizations',
    help: 'Organizations that have clients here now',
    collect: () => organizations.set([...counts()].length),
  })
  const connections: Gauge<'organization'> = new Gauge({
    registers: [registry],
    name: 'cloudsignal_broker_organization_connections',
    help: 'Clients connected now, by organization',
    labelNames: ['organization'],
    collect() {
      connections.reset()
      for (const [organization, count] of counts()) {
        connections.inc({ organization: labels.of(organization) }, count)
      }
    },
  })
  return (read) => (counts = read)
}
