import { readFileSync } from 'node:fs'
import { Registry } from 'prom-client'
import { describe, expect, test } from 'vitest'
import { actions } from '#core/access/access-rule.ts'
import { credentialKinds } from '#core/credentials/credential-record.ts'
import { silentLog } from '#core/process/logger.ts'
import { providerTypes } from '#core/resources/identity-provider.ts'
import { resourceKindNames } from '#core/resources/index.ts'
import { controlEntryTypes } from '#core/stores/control-log.ts'
import { errorWords } from '#core/stores/redis-metrics.ts'
import { endCauses } from '../../broker/connection/end-cause.ts'
import type { WillOutcome } from '../../broker/cluster/will-publisher.ts'
import type { RefreshRefusal } from '../../broker/handlers/refresh-credential.ts'
import { droppedEarly } from '../../broker/listeners/arrival.ts'
import { type BrokerMetrics, dropReasons } from '../../broker/metrics.ts'
import { Supervisor } from '../../broker/workers/supervisor.ts'
import type { ApiErrorCode } from '../../kubernetes/api-error.ts'
import { readyReasons } from '../../operator/reconcilers/readiness.ts'
import type { ReconcileOutcome } from '../../operator/runtime/controller.ts'
import { limitNames, liveOutcomes } from '../../token-service/metrics.ts'
import { issuerDocuments } from '../../token-service/verifier/issuer-keys.ts'
import { readDashboards } from './dashboards.ts'
import { documentedLabels, documentedMetrics, metricsByHand, rowOf } from './metrics-page.ts'
import { observedPrograms } from './observed-programs.ts'

/** All of a union, and nothing else: the compiler looks. */
const all = <T extends string>(members: Record<T, true>): readonly T[] => Object.keys(members) as T[]

const willOutcomes = all<WillOutcome>({ published: true, denied: true, failed: true, damaged: true })
const renewals = all<'renewed' | RefreshRefusal>({
  renewed: true,
  invalid_request: true,
  invalid_credential: true,
  organization_suspended: true,
  rate_limited: true,
  renewal_not_possible: true,
  service_unavailable: true,
  ttl_out_of_range: true,
})
const brokerLimits = all<Parameters<BrokerMetrics['limited']>[0]>({ newcomers: true, subscriptions: true })
const reconcileOutcomes = all<ReconcileOutcome>({ success: true, error: true, requeue_after: true })
const watchFailures = all<ApiErrorCode | 'error'>({
  'not-found': true,
  conflict: true,
  'already-exists': true,
  forbidden: true,
  invalid: true,
  'too-many-requests': true,
  gone: true,
  unauthorized: true,
  timeout: true,
  unreachable: true,
  'server-error': true,
  error: true,
})

/** What the code can say, by metric and label; of the labels that have a closed set of values. */
const closed: Readonly<Record<string, readonly string[]>> = {
  'cloudsignal_build_info program': observedPrograms,
  'nodejs_gc_duration_seconds kind': ['major', 'minor', 'incremental', 'weakcb'],
  'cloudsignal_redis_connection_ready connection': [
    'operator',
    'token-service',
    'broker',
    'broker-bus',
    'broker-replicated',
    'standalone',
    'standalone-bus',
    'standalone-replicated',
  ],
  'cloudsignal_redis_error_replies_total error': [...errorWords, 'other'],
  'cloudsignal_broker_connects_total listener': ['mqtts', 'wss', 'mqtt', 'ws'],
  'cloudsignal_broker_connections_dropped_total reason': droppedEarly,
  'cloudsignal_broker_messages_dropped_total reason': dropReasons,
  'cloudsignal_broker_disconnects_total cause': Object.keys(endCauses),
  'cloudsignal_broker_limited_total limit': brokerLimits,
  'cloudsignal_broker_control_log_entries_total type': controlEntryTypes,
  'cloudsignal_broker_renewals_total outcome': renewals,
  'cloudsignal_broker_wills_total outcome': willOutcomes,
  'cloudsignal_broker_denied_total action': actions,
  'cloudsignal_broker_password_checks state': ['hashing', 'waiting'],
  'cloudsignal_broker_messages_received_total qos': ['0', '1', '2'],
  'cloudsignal_token_service_live_checks_total provider_type': providerTypes,
  'cloudsignal_token_service_live_checks_total outcome': liveOutcomes,
  'cloudsignal_token_service_exchanges_total outcome': ['issued'],
  'cloudsignal_token_service_tokens_total outcome': ['issued'],
  'cloudsignal_token_service_renewals_total outcome': ['renewed'],
  'cloudsignal_token_service_issuer_fetches_total outcome': ['success', 'failure'],
  'cloudsignal_token_service_tokens_total kind': credentialKinds.filter((kind) => kind !== 'exchange'),
  'cloudsignal_token_service_limited_total limit': limitNames,
  'cloudsignal_token_service_issuer_fetches_total document': issuerDocuments,
  'cloudsignal_operator_resources kind': resourceKindNames,
  'cloudsignal_operator_resources ready': ['True', 'False', 'Unknown'],
  'cloudsignal_operator_resources reason': ['none', ...readyReasons],
  'cloudsignal_operator_watch_restarts_total reason': watchFailures,
  'controller_runtime_reconcile_total result': reconcileOutcomes,
}

describe('the page of metrics', async () => {
  const metrics = await documentedMetrics()
  const rows = await documentedLabels()

  test('says of each label of each metric what it may be, and of no other', () => {
    const labels = metrics.flatMap((metric) => metric.labels.map((label) => [metric, label] as const))
    const missing = labels.filter(([metric, label]) => rowOf(rows, metric, label) === undefined)
    expect(missing.map(([{ name }, label]) => `${name} ${label}`)).toEqual([])
    const used = new Set(labels.map(([metric, label]) => rowOf(rows, metric, label)))
    expect(rows.filter((row) => !used.has(row))).toEqual([])
  })

  test.each(Object.entries(closed))('names the values of %s that the code has', (which, values) => {
    const [name = '', label = ''] = which.split(' ')
    const metric = metrics.find((metric) => metric.name === name)
    const row = metric && rowOf(rows, metric, label)
    expect(row?.values.toSorted()).toEqual([...values].toSorted())
  })

  test('names no value that is not looked at here', () => {
    const looked = new Set(
      Object.keys(closed).map((which) => {
        const [name = '', label = ''] = which.split(' ')
        return rowOf(rows, metrics.find((metric) => metric.name === name) ?? { name, heading: '' }, label)
      }),
    )
    expect(rows.filter((row) => row.values.length > 0 && !looked.has(row))).toEqual([])
  })

  test('tells what the supervisor of workers counts', async () => {
    const registry = new Registry()
    expect(new Supervisor({ count: 1, program: 'none', log: silentLog, registry })).toBeDefined()
    const counted = (await registry.getMetricsAsJSON()).map(({ name, type, help }) => ({ name, type, help }))
    const told = metrics.filter(({ servedBy }) => servedBy.includes('its supervisor'))
    expect(told.map(({ name, type, help }) => ({ name, type, help }))).toEqual(counted)
  })

  test('tells which metrics no dashboard and no alert uses', async () => {
    const queries = readDashboards().flatMap(({ queries }) => queries)
    const asked = [...queries, readFileSync('charts/cloudsignal/files/alerts.yaml', 'utf8')].join('\n')
    const words = new Set(asked.match(/\w+/g))
    const isUsed = (name: string): boolean =>
      [name, `${name}_bucket`, `${name}_sum`, `${name}_count`].some((each) => words.has(each))
    const unused = metrics.map(({ name }) => name).filter((name) => !isUsed(name))
    expect((await metricsByHand()).toSorted()).toEqual(unused.toSorted())
  })
})
