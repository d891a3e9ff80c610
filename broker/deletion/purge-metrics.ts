import { Counter, Gauge, type Registry } from 'prom-client'

/** What is left of organizations that are gone. */
export interface PurgeMetrics {
  /** So many organizations wait for it, as this replica has seen last. */
  waiting(organizations: number): void
  /** By this replica. */
  removed(keys: number): void
}

export function createPurgeMetrics(registry: Registry): PurgeMetrics {
  const registers = [registry]
  const waiting = new Gauge({
    registers,
    name: 'cloudsignal_broker_purges_waiting',
    help: 'Organizations that are gone and whose sessions, messages and credentials are not removed yet',
  })
  waiting.set(0)
  const removed = new Counter({
    registers,
    name: 'cloudsignal_broker_purged_keys_total',
    help: 'Keys of organizations that are gone which this replica has removed',
  })
  return { waiting: (organizations) => waiting.set(organizations), removed: (keys) => removed.inc(keys) }
}
