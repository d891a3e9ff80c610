import { processRow, redisRow } from './common-rows.ts'
import { type Dashboard, durations, perSecond, rate, selected } from './dashboard.ts'

const resources = 'cloudsignal_operator_resources'

export const operator: Dashboard = {
  name: 'operator',
  title: 'CloudSignal / Operator',
  program: 'operator',
  rows: {
    Now: [
      {
        title: 'Leaders',
        about: 'One, or nothing happens.',
        unit: 'short',
        isNumber: true,
        queries: [[`sum(leader_election_master_status${selected()})`, '']],
      },
      {
        title: 'Objects',
        unit: 'short',
        isNumber: true,
        queries: [[`sum(max by (kind, ready, reason) (${resources}${selected()}))`, '']],
      },
      {
        title: 'Not ready',
        unit: 'short',
        isNumber: true,
        queries: [[`sum(max by (kind, ready, reason) (${resources}${selected('ready!="True"')}))`, '']],
      },
      {
        title: 'Waiting',
        about: 'In the queues',
        unit: 'short',
        isNumber: true,
        queries: [[`sum(workqueue_depth${selected()})`, '']],
      },
      {
        title: 'Records to be confirmed',
        about: 'No object stands for them, and they are too many to be removed unasked.',
        unit: 'short',
        isNumber: true,
        queries: [[`max(cloudsignal_operator_orphans_held${selected()})`, '']],
      },
      {
        title: 'Secrets',
        unit: 'short',
        isNumber: true,
        queries: [[`max(cloudsignal_operator_informer_objects${selected('resource="secrets"')})`, '']],
      },
    ],
    Objects: [
      {
        title: 'By kind',
        unit: 'short',
        queries: [[`sum by (kind) (max by (kind, ready, reason) (${resources}${selected()}))`, '{{kind}}']],
      },
      {
        title: 'Not ready, by reason',
        unit: 'short',
        queries: [
          [`max by (kind, reason) (${resources}${selected('ready!="True"')})`, '{{kind}} {{reason}}'],
        ],
      },
      {
        title: 'Records without an object',
        unit: 'short',
        queries: [
          [`max(cloudsignal_operator_orphans_held${selected()})`, 'to be confirmed'],
          [
            `sum(increase(cloudsignal_operator_orphans_deleted_total${selected()}[$__rate_interval]))`,
            'removed',
          ],
        ],
      },
      {
        title: 'Records that somebody else changed',
        about: 'They were written again.',
        unit: 'cps',
        queries: [[perSecond('cloudsignal_operator_drift_repaired_total', 'kind'), '{{kind}}']],
      },
    ],
    Reconciles: [
      {
        title: 'By result',
        unit: 'cps',
        queries: [
          [
            perSecond('controller_runtime_reconcile_total', 'controller, result'),
            '{{controller}} {{result}}',
          ],
        ],
      },
      {
        title: 'Time of a reconcile',
        unit: 's',
        queries: [durations('controller_runtime_reconcile_time_seconds', 'controller').at(-1) ?? ['', '']],
      },
      {
        title: 'Failures',
        unit: 'cps',
        queries: [
          [perSecond('controller_runtime_reconcile_errors_total', 'controller'), '{{controller}}'],
          [
            perSecond('controller_runtime_reconcile_timeouts_total', 'controller'),
            '{{controller}} timed out',
          ],
          [perSecond('controller_runtime_reconcile_panics_total', 'controller'), '{{controller}} by mistake'],
          [
            perSecond('controller_runtime_terminal_reconcile_errors_total', 'controller'),
            '{{controller}} given up',
          ],
        ],
      },
      {
        title: 'Waiting in the queue',
        unit: 'short',
        queries: [[`sum by (name) (workqueue_depth${selected()})`, '{{name}}']],
      },
      {
        title: 'Added to the queue',
        unit: 'cps',
        queries: [[perSecond('workqueue_adds_total', 'name'), '{{name}}']],
      },
      {
        title: 'Longest at work',
        unit: 's',
        queries: [[`max by (name) (workqueue_longest_running_processor_seconds${selected()})`, '{{name}}']],
      },
      {
        title: 'Time in the queue',
        unit: 's',
        queries: [durations('workqueue_queue_duration_seconds', 'name').at(-1) ?? ['', '']],
      },
      {
        title: 'Workers',
        unit: 'short',
        queries: [
          [`sum by (controller) (controller_runtime_active_workers${selected()})`, '{{controller}}'],
          [
            `sum by (controller) (controller_runtime_max_concurrent_reconciles${selected()})`,
            'most of {{controller}}',
          ],
        ],
      },
    ],
    'API server': [
      {
        title: 'Requests',
        unit: 'reqps',
        queries: [[perSecond('rest_client_requests_total', 'method, code'), '{{method}} {{code}}']],
      },
      {
        title: 'Time of a request',
        unit: 's',
        queries: durations('rest_client_request_duration_seconds', 'verb'),
      },
      {
        title: 'Caches',
        unit: 'short',
        queries: [[`max by (resource) (cloudsignal_operator_informer_objects${selected()})`, '{{resource}}']],
      },
      {
        title: 'Watches that failed',
        unit: 'cps',
        queries: [
          [
            `${perSecond('cloudsignal_operator_watch_restarts_total', 'resource, reason')} or vector(0)`,
            '{{resource}} {{reason}}',
          ],
        ],
      },
      {
        title: 'Since a cache changed',
        unit: 's',
        queries: [
          [
            `time() - max by (resource) (cloudsignal_operator_informer_last_event_timestamp_seconds${selected()})`,
            '{{resource}}',
          ],
        ],
      },
      {
        title: 'Tried again',
        unit: 'cps',
        queries: [[`sum(${rate('workqueue_retries_total')}) or vector(0)`, '']],
      },
    ],
    Redis: redisRow,
    Process: processRow,
  },
}
