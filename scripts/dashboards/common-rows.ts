import { durations, type Panel, perSecond, rate, selected } from './dashboard.ts'

/** What all programs have in common. */
export const redisRow: readonly Panel[] = [
  {
    title: 'Redis answers',
    about: '1 while it does',
    unit: 'short',
    queries: [[`cloudsignal_redis_up${selected()}`, '{{pod}} {{worker}}']],
  },
  {
    title: 'Time of a small command',
    unit: 's',
    queries: durations('cloudsignal_redis_probe_duration_seconds'),
  },
  {
    title: 'Connections to Redis',
    about: '1 while it is open',
    unit: 'short',
    queries: [[`cloudsignal_redis_connection_ready${selected()}`, '{{pod}} {{worker}} {{connection}}']],
  },
  {
    title: 'Commands that Redis refused or left, connections that ended',
    unit: 'cps',
    queries: [
      [`sum(${rate('cloudsignal_redis_probe_failures_total')})`, 'no answer'],
      [perSecond('cloudsignal_redis_error_replies_total', 'error'), '{{error}}'],
      [perSecond('cloudsignal_redis_disconnects_total', 'connection'), 'ended: {{connection}}'],
    ],
  },
]

export const processRow: readonly Panel[] = [
  {
    title: 'CPU',
    about: 'A process uses one core at most, and a little beside it.',
    unit: 'percentunit',
    queries: [[rate('process_cpu_seconds_total'), '{{pod}} {{worker}}']],
  },
  {
    title: 'Delay of the event loop',
    about: 'All but one in a hundred turns were late by no more than this.',
    unit: 's',
    queries: [[`nodejs_eventloop_lag_p99_seconds${selected()}`, '{{pod}} {{worker}}']],
  },
  {
    title: 'Memory',
    unit: 'bytes',
    queries: [
      [`process_resident_memory_bytes${selected()}`, '{{pod}} {{worker}}'],
      [`nodejs_heap_size_used_bytes${selected()}`, 'heap of {{pod}} {{worker}}'],
    ],
  },
  {
    title: 'Garbage collection',
    unit: 'percentunit',
    queries: [[`sum by (pod, kind) (${rate('nodejs_gc_duration_seconds_sum')})`, '{{pod}} {{kind}}']],
  },
  {
    title: 'Open file descriptors',
    unit: 'short',
    queries: [[`process_open_fds${selected()}`, '{{pod}} {{worker}}']],
  },
  {
    title: 'Versions',
    unit: 'short',
    queries: [
      [
        `count by (version, node_version) (cloudsignal_build_info${selected()})`,
        '{{version}} on {{node_version}}',
      ],
    ],
  },
]

export const auditPanel: Panel = {
  title: 'Audit events',
  about: 'docs/audit.md says what each is.',
  unit: 'cps',
  queries: [
    [perSecond('cloudsignal_audit_events_total', 'event'), '{{event}}'],
    [`sum(${rate('cloudsignal_audit_lines_lost_total')})`, 'lines lost'],
    [`sum(${rate('cloudsignal_audit_events_not_kept_total')})`, 'not kept for /v1/audit'],
  ],
}
