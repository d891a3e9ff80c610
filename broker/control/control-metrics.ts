import { Counter, Histogram, type Registry } from 'prom-client'
import { readGauge } from '#core/metrics/read-gauge.ts'
import { type ControlEntry, controlEntryTypes } from '#core/stores/control-log.ts'

/** How soon what others decide takes effect here. */
export interface ControlMetrics {
  /** An entry was read, so long after it was written. */
  read(type: ControlEntry['type'], seconds: number): void
  gap(): void
  /** So long after an entry was written, the connections that it meant had ended. */
  ended(connections: number, seconds: number): void
  staleness(read: () => number): void
}

const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

export function createControlMetrics(registry: Registry): ControlMetrics {
  const registers = [registry]
  const entries = new Counter({
    registers,
    name: 'cloudsignal_broker_control_log_entries_total',
    help: 'Entries of the control log that were read, by what they name',
    labelNames: ['type'],
  })
  for (const type of controlEntryTypes) entries.inc({ type }, 0)
  const lag = new Histogram({
    registers,
    name: 'cloudsignal_broker_control_log_lag_seconds',
    help: 'Time from when an entry of the control log was written until it was read here',
    buckets,
  })
  const gaps = new Counter({
    registers,
    name: 'cloudsignal_broker_control_log_gaps_total',
    help: 'Times that entries of the control log were missed, and every connection was looked at instead',
  })
  const ended = new Counter({
    registers,
    name: 'cloudsignal_broker_control_log_ended_connections_total',
    help: 'Connections that ended because of what the control log says',
  })
  const revocation = new Histogram({
    registers,
    name: 'cloudsignal_broker_revocation_duration_seconds',
    help: 'Time from when a revocation was written until the connections that it meant had ended here',
    buckets,
  })
  let staleness: (() => number) | undefined
  readGauge(
    registry,
    'cloudsignal_broker_control_log_staleness_seconds',
    'Time since the control log was read to its end',
    () => (staleness === undefined ? undefined : staleness() / 1_000),
  )
  return {
    read(type, seconds) {
      entries.inc({ type })
      lag.observe(Math.max(0, seconds))
    },
    gap: () => gaps.inc(),
    ended(connections, seconds) {
      if (connections === 0) return
      ended.inc(connections)
      revocation.observe(Math.max(0, seconds))
    },
    staleness: (read) => (staleness = read),
  }
}
