import { Counter, Gauge, type Registry } from 'prom-client'
import { type ResourceKindName, resourceKindNames } from '#core/resources/index.ts'

/** What the operator had to mend, and what it did not dare to. */
export interface RecordMetrics {
  orphansRemoved(count: number): void
  /** Records that no object stands for and that wait for somebody to confirm. */
  orphansHeld(count: number): void
  /** The record of an object of this kind was changed or removed by somebody else, and is written again. */
  drifted(kind: ResourceKindName): void
}

export function createRecordMetrics(registry: Registry): RecordMetrics {
  const registers = [registry]
  const removed = new Counter({
    registers,
    name: 'cloudsignal_operator_orphans_deleted_total',
    help: 'Records that were removed because no object stands for them',
  })
  const held = new Gauge({
    registers,
    name: 'cloudsignal_operator_orphans_held',
    help: 'Records that no object stands for, kept because they are too many at once: see the log for how to confirm',
  })
  const drifted = new Counter({
    registers,
    name: 'cloudsignal_operator_drift_repaired_total',
    help: 'Records that somebody else had changed or removed, by the kind of their object',
    labelNames: ['kind'],
  })
  for (const kind of resourceKindNames) drifted.inc({ kind }, 0)
  return {
    drifted: (kind) => drifted.inc({ kind }),
    orphansRemoved: (count) => removed.inc(count),
    orphansHeld: (count) => held.set(count),
  }
}
