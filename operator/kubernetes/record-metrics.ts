import { Counter, Gauge, type Registry } from 'prom-client'

/** What the operator had to mend, and what it did not dare to. */
export interface RecordMetrics {
  orphansRemoved(count: number): void
  /** Records that no object stands for and that wait for somebody to confirm. */
  orphansHeld(count: number): void
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
  return {
    orphansRemoved: (count) => removed.inc(count),
    orphansHeld: (count) => held.set(count),
  }
}
