import { auditPanel, processRow, redisRow } from './common-rows.ts'
import { type Dashboard, durations, perSecond, rate, selected } from './dashboard.ts'

const connections = `cloudsignal_broker_connections${selected()}`

export const broker: Dashboard = {
  name: 'broker',
  title: 'CloudSignal / Broker',
  program: 'broker',
  rows: {
    Now: [
      { title: 'Clients', unit: 'short', isNumber: true, queries: [[`sum(${connections})`, '']] },
      {
        title: 'Messages in',
        unit: 'cps',
        isNumber: true,
        queries: [[`sum(${rate('cloudsignal_broker_messages_received_total')})`, '']],
      },
      {
        title: 'Messages out',
        unit: 'cps',
        isNumber: true,
        queries: [[`sum(${rate('cloudsignal_broker_messages_delivered_total')})`, '']],
      },
      {
        title: 'Clients refused',
        unit: 'cps',
        isNumber: true,
        queries: [[`sum(${rate('cloudsignal_broker_connects_refused_total')})`, '']],
      },
      {
        title: 'Pods',
        unit: 'short',
        isNumber: true,
        queries: [[`count(count by (pod) (cloudsignal_build_info${selected('program="broker"')}))`, '']],
      },
      {
        title: 'Certificate ends in',
        unit: 's',
        isNumber: true,
        queries: [
          [`min(cloudsignal_broker_certificate_expiration_timestamp_seconds${selected()}) - time()`, ''],
        ],
      },
    ],
    Clients: [
      { title: 'Connected', unit: 'short', queries: [[`sum by (pod) (${connections})`, '{{pod}}']] },
      {
        title: 'Let in',
        unit: 'cps',
        queries: [[perSecond('cloudsignal_broker_connects_total', 'listener'), '{{listener}}']],
      },
      {
        title: 'Refused',
        unit: 'cps',
        queries: [[perSecond('cloudsignal_broker_connects_refused_total', 'reason'), '{{reason}}']],
      },
      {
        title: 'Ended',
        unit: 'cps',
        queries: [[perSecond('cloudsignal_broker_disconnects_total', 'cause'), '{{cause}}']],
      },
      {
        title: 'Ended before MQTT',
        about: 'A bad PROXY header, a handshake that failed or took too long.',
        unit: 'cps',
        queries: [[perSecond('cloudsignal_broker_connections_dropped_total', 'reason'), '{{reason}}']],
      },
      {
        title: 'From CONNECT to CONNACK',
        unit: 's',
        queries: durations('cloudsignal_broker_connect_duration_seconds'),
      },
      {
        title: 'Passwords that people chose',
        about: 'They have to be hashed. Those that wait too long are refused as busy.',
        unit: 'short',
        queries: [
          [`sum by (state) (cloudsignal_broker_password_checks${selected()})`, '{{state}}'],
          [`sum(${rate('cloudsignal_broker_password_hashes_total')})`, 'hashed a second'],
        ],
      },
      {
        title: 'Organizations with clients',
        unit: 'short',
        queries: [[`cloudsignal_broker_organizations${selected()}`, '{{pod}} {{worker}}']],
      },
      {
        title: 'Replicas that send their clients away',
        about: 'They shut down.',
        unit: 'short',
        queries: [[`sum(cloudsignal_broker_draining${selected()})`, 'draining']],
      },
      {
        title: 'Organizations with most clients',
        unit: 'short',
        queries: [
          [
            `topk(10, sum by (organization) (cloudsignal_broker_organization_connections${selected()}))`,
            '{{organization}}',
          ],
        ],
      },
    ],
    Messages: [
      {
        title: 'Published by clients',
        unit: 'cps',
        queries: [[perSecond('cloudsignal_broker_messages_received_total', 'qos'), 'QoS {{qos}}']],
      },
      {
        title: 'Sent to clients',
        unit: 'cps',
        queries: [[perSecond('cloudsignal_broker_messages_delivered_total', 'qos'), 'QoS {{qos}}']],
      },
      {
        title: 'Dropped',
        unit: 'cps',
        queries: [[perSecond('cloudsignal_broker_messages_dropped_total', 'reason'), '{{reason}}']],
      },
      {
        title: 'Denied by access lists',
        unit: 'cps',
        queries: [[perSecond('cloudsignal_broker_denied_total', 'action'), '{{action}}']],
      },
      {
        title: 'Limits reached',
        unit: 'cps',
        queries: [
          [perSecond('cloudsignal_broker_limited_total', 'limit'), '{{limit}}'],
          [`sum(${rate('cloudsignal_broker_throttled_total')})`, 'published too fast'],
        ],
      },
      {
        title: 'Wills',
        unit: 'cps',
        queries: [[perSecond('cloudsignal_broker_wills_total', 'outcome'), '{{outcome}}']],
      },
    ],
    'Access that ends and is renewed': [
      {
        title: 'From a revocation to the end of its connections',
        unit: 's',
        queries: durations('cloudsignal_broker_revocation_duration_seconds'),
      },
      {
        title: 'How old the knowledge of revocations is',
        about: 'After a minute without, a replica sends its clients away.',
        unit: 's',
        queries: [[`cloudsignal_broker_control_log_staleness_seconds${selected()}`, '{{pod}} {{worker}}']],
      },
      {
        title: 'From an entry of the control log to its reading',
        unit: 's',
        queries: durations('cloudsignal_broker_control_log_lag_seconds'),
      },
      {
        title: 'Entries of the control log',
        unit: 'cps',
        queries: [
          [perSecond('cloudsignal_broker_control_log_entries_total', 'type'), '{{type}}'],
          [`sum(${rate('cloudsignal_broker_control_log_gaps_total')})`, 'missed'],
          [`sum(${rate('cloudsignal_broker_control_log_ended_connections_total')})`, 'connections ended'],
        ],
      },
      {
        title: 'Renewals over MQTT',
        unit: 'cps',
        queries: [
          [perSecond('cloudsignal_broker_renewals_total', 'outcome'), '{{outcome}}'],
          [`sum(${rate('cloudsignal_broker_expiry_notices_total')})`, 'told that the end is near'],
        ],
      },
      {
        title: 'Let in by a password that was rotated',
        about: 'They need the new one before the old one ends: docs/password-rotation.md.',
        unit: 'cps',
        queries: [[`sum(${rate('cloudsignal_broker_former_password_connects_total')})`, 'let in']],
      },
      auditPanel,
    ],
    'Organizations that are gone': [
      {
        title: 'To be removed',
        about: 'Sessions, messages and credentials of deleted Organizations are there still.',
        unit: 'short',
        queries: [[`max(cloudsignal_broker_purges_waiting${selected()})`, 'organizations']],
      },
      {
        title: 'Removed keys',
        unit: 'cps',
        queries: [[`sum(${rate('cloudsignal_broker_purged_keys_total')})`, 'keys']],
      },
    ],
    Redis: [
      ...redisRow,
      {
        title: 'Memory of Redis',
        unit: 'bytes',
        queries: [
          [`max by (node) (cloudsignal_broker_redis_memory_used_bytes${selected()})`, '{{node}}'],
          [`max by (node) (cloudsignal_broker_redis_memory_max_bytes${selected()})`, 'most of {{node}}'],
        ],
      },
      {
        title: 'Whether Redis keeps what it is given',
        about: '1 each: an append-only file, and no eviction. Below, acknowledged messages can be lost.',
        unit: 'short',
        queries: [
          [
            `min by (node) (cloudsignal_broker_redis_append_only${selected()})`,
            'append-only file of {{node}}',
          ],
          [`min by (node) (cloudsignal_broker_redis_noeviction${selected()})`, 'no eviction by {{node}}'],
        ],
      },
      {
        title: 'Replicas of Redis',
        unit: 'short',
        queries: [
          [`max by (node) (cloudsignal_broker_redis_connected_replicas${selected()})`, 'following {{node}}'],
        ],
      },
      {
        title: 'Bus between replicas',
        unit: 'cps',
        queries: [
          [`sum(${rate('cloudsignal_broker_bus_asks_total')})`, 'asked again'],
          [`sum(${rate('cloudsignal_broker_bus_lost_total')})`, 'lost'],
          [`sum(${rate('cloudsignal_broker_bus_interruptions_total')})`, 'interrupted'],
          [`sum(${rate('cloudsignal_broker_bus_foreign_data_total')})`, 'not of the bus'],
        ],
      },
    ],
    Process: [
      ...processRow,
      {
        title: 'Workers',
        about: 'Where a pod has several: docs/scaling.md.',
        unit: 'short',
        queries: [
          [`sum by (pod) (cloudsignal_broker_workers${selected()}) or vector(0)`, '{{pod}}'],
          [
            `sum(increase(cloudsignal_broker_worker_restarts_total${selected()}[$__rate_interval])) or vector(0)`,
            'replaced',
          ],
        ],
      },
    ],
  },
}
