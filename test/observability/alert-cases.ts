/** Series by name and labels, with their values a minute apart, as promtool writes them: `0+60x30` counts one a second. */
export type Series = Readonly<Record<string, string>>

export interface AlertCase {
  readonly fires: Series
  /** When it is looked at. */
  readonly after: string
  /** Beside `severity`. */
  readonly labels: Readonly<Record<string, string>>
  /** The description that people read. */
  readonly says: string
  /** Alike, but no reason to wake anybody; at the same time. */
  readonly silent: Series
}

const inNamespace = 'namespace="messaging"'
const atBroker = `${inNamespace},pod="broker-0"`
const atOperator = `${inNamespace},pod="operator-0"`
const messaging = { namespace: 'messaging' }
const broker = { ...messaging, pod: 'broker-0' }

const build = (program: string, labels = `${inNamespace},pod="${program}-0"`): Series => ({
  [`cloudsignal_build_info{program="${program}",${labels}}`]: '1x120',
})
const ofOperators: Series = { ...build('operator'), ...build('operator', `${inNamespace},pod="operator-1"`) }

/** One observation a second, all of them between two bounds. */
const histogram = (name: string, labels: string, bounds: readonly [string, string]): Series => ({
  [`${name}_bucket{${labels},le="${bounds[0]}"}`]: '0x120',
  [`${name}_bucket{${labels},le="${bounds[1]}"}`]: '0+60x120',
  [`${name}_bucket{${labels},le="+Inf"}`]: '0+60x120',
})

/** Times of a histogram: too long, and short enough. */
const slow = (name: string, labels: string, above: readonly [string, string]) => ({
  fires: histogram(name, labels, above),
  silent: histogram(name, labels, ['0.01', '0.025']),
})

const absent = (program: string, after: string, says: string): AlertCase => ({
  fires: build('other'),
  after,
  labels: { program },
  says,
  silent: build(program),
})

const refused = (reason: string, values: string): Series => ({
  [`cloudsignal_broker_connects_refused_total{${atBroker},reason="${reason}"}`]: values,
})

const exchanges = (outcome: string, values: string): Series => ({
  [`cloudsignal_token_service_exchanges_total{${inNamespace},pod="token-service-0",provider_type="auth0",outcome="${outcome}"}`]:
    values,
})

const webhooks = (outcome: string, organization: string): Series => ({
  [`cloudsignal_audit_events_total{${inNamespace},pod="token-service-0",event="webhook.refused",outcome="${outcome}",organization="${organization}"}`]:
    '0+1x120',
})

export const alertCases: Readonly<Record<string, AlertCase>> = {
  CloudSignalBrokerAbsent: absent(
    'broker',
    '6m',
    'Prometheus has not read metrics of any broker for five minutes: nobody can connect, or the brokers are not scraped.',
  ),
  CloudSignalTokenServiceAbsent: absent(
    'token-service',
    '6m',
    'Prometheus has not read metrics of any token service for five minutes: nobody gets a credential, or it is not scraped.',
  ),
  CloudSignalOperatorAbsent: absent(
    'operator',
    '11m',
    'Prometheus has not read metrics of any operator for ten minutes: what is applied has no effect, or it is not scraped.',
  ),
  CloudSignalRestarting: {
    fires: { ...build('broker'), [`process_start_time_seconds{${atBroker}}`]: '10 10 20 20 30 30 40x20' },
    after: '10m',
    labels: { ...broker, program: 'broker' },
    says: 'The broker messaging/broker-0 has started 3 times in half an hour.',
    // A restart is one change; another program's are none of ours.
    silent: {
      ...build('broker'),
      [`process_start_time_seconds{${atBroker}}`]: '10x3 20x20',
      'process_start_time_seconds{namespace="other",pod="x"}': '10 20 30 40 50x20',
    },
  },
  CloudSignalEventLoopSlow: {
    fires: { ...build('broker'), [`nodejs_eventloop_lag_p99_seconds{${atBroker}}`]: '0.5x30' },
    after: '11m',
    labels: { ...broker, program: 'broker' },
    says: 'The event loop of the broker messaging/broker-0 is late by 500ms.',
    silent: { ...build('broker'), [`nodejs_eventloop_lag_p99_seconds{${atBroker}}`]: '0.5x5 0.05x30' },
  },
  CloudSignalFewFileDescriptorsLeft: {
    fires: {
      ...build('broker'),
      [`process_open_fds{${atBroker}}`]: '900x30',
      [`process_max_fds{${atBroker}}`]: '1000x30',
    },
    after: '6m',
    labels: { ...broker, program: 'broker' },
    says: 'The broker messaging/broker-0 uses 90% of its file descriptors.',
    silent: {
      ...build('broker'),
      [`process_open_fds{${atBroker}}`]: '700x30',
      [`process_max_fds{${atBroker}}`]: '1000x30',
    },
  },
  CloudSignalRedisDown: {
    fires: { ...build('broker'), [`cloudsignal_redis_up{${atBroker}}`]: '1x3 0x10' },
    after: '6m',
    labels: { ...broker, program: 'broker' },
    says: 'The broker messaging/broker-0 has had no answer of Redis for a minute.',
    silent: { ...build('broker'), [`cloudsignal_redis_up{${atBroker}}`]: '1 0 1x10' },
  },
  CloudSignalRedisSlow: {
    ...slow('cloudsignal_redis_probe_duration_seconds', atBroker, ['0.25', '0.5']),
    after: '20m',
    labels: broker,
    says: 'One in a hundred small commands of messaging/broker-0 takes 497.5ms or longer.',
  },
  CloudSignalRedisRefuses: {
    fires: {
      [`cloudsignal_redis_error_replies_total{${atBroker},connection="broker",error="OOM"}`]: '0x5 0+1x10',
    },
    after: '10m',
    labels: { ...broker, error: 'OOM' },
    says: 'Redis answers messaging/broker-0 with OOM.',
    silent: {
      [`cloudsignal_redis_error_replies_total{${atBroker},connection="broker",error="ERR"}`]: '0+1x30',
    },
  },
  CloudSignalRedisMayLoseData: {
    fires: {
      [`cloudsignal_broker_redis_append_only{${atBroker},node="10.0.0.1:6379"}`]: '0x30',
      [`cloudsignal_broker_redis_noeviction{${atBroker},node="10.0.0.1:6379"}`]: '1x30',
    },
    after: '16m',
    labels: { ...messaging, node: '10.0.0.1:6379' },
    says: 'The Redis 10.0.0.1:6379 has no append-only file, or drops data when it is full.',
    silent: {
      [`cloudsignal_broker_redis_append_only{${atBroker},node="10.0.0.1:6379"}`]: '1x30',
      [`cloudsignal_broker_redis_noeviction{${atBroker},node="10.0.0.1:6379"}`]: '1x30',
    },
  },
  CloudSignalRedisAlmostFull: {
    fires: {
      [`cloudsignal_broker_redis_memory_used_bytes{${atBroker},node="10.0.0.1:6379"}`]: '900x30',
      [`cloudsignal_broker_redis_memory_max_bytes{${atBroker},node="10.0.0.1:6379"}`]: '1000x30',
    },
    after: '11m',
    labels: { ...messaging, node: '10.0.0.1:6379' },
    says: 'The Redis 10.0.0.1:6379 uses 90% of the memory that it may.',
    // Without a limit there is no share of it.
    silent: {
      [`cloudsignal_broker_redis_memory_used_bytes{${atBroker},node="10.0.0.1:6379"}`]: '900x30',
      [`cloudsignal_broker_redis_memory_max_bytes{${atBroker},node="10.0.0.1:6379"}`]: '0x30',
    },
  },
  CloudSignalControlLogStale: {
    fires: { [`cloudsignal_broker_control_log_staleness_seconds{${atBroker}}`]: '0 20x10' },
    after: '3m',
    labels: broker,
    says: 'messaging/broker-0 has not read the control log for 20s; after a minute it sends its clients away.',
    silent: { [`cloudsignal_broker_control_log_staleness_seconds{${atBroker}}`]: '1x10' },
  },
  CloudSignalRevocationSlow: {
    ...slow('cloudsignal_broker_revocation_duration_seconds', atBroker, ['2.5', '5']),
    after: '15m',
    labels: broker,
    says: 'At messaging/broker-0 it takes 4.975s until those who were revoked are gone.',
  },
  CloudSignalCertificateEnds: {
    fires: { [`cloudsignal_broker_certificate_expiration_timestamp_seconds{${atBroker}}`]: '871200x120' },
    after: '2h',
    labels: broker,
    says: 'The certificate of messaging/broker-0 ends in 10d 0h 0m 0s.',
    silent: { [`cloudsignal_broker_certificate_expiration_timestamp_seconds{${atBroker}}`]: '1728000x120' },
  },
  CloudSignalCertificateEndsNow: {
    fires: { [`cloudsignal_broker_certificate_expiration_timestamp_seconds{${atBroker}}`]: '87600x120' },
    after: '20m',
    labels: broker,
    says: 'The certificate of messaging/broker-0 ends in 1d 0h 0m 0s; then nobody can connect.',
    silent: { [`cloudsignal_broker_certificate_expiration_timestamp_seconds{${atBroker}}`]: '871200x120' },
  },
  CloudSignalConnectsUnavailable: {
    fires: refused('unavailable', '0+60x30'),
    after: '15m',
    labels: broker,
    says: 'messaging/broker-0 refuses 1 clients a second because it can not judge them.',
    silent: refused('wrong-password', '0+60x30'),
  },
  CloudSignalMostConnectsRefused: {
    fires: {
      ...refused('wrong-password', '0+300x60'),
      [`cloudsignal_broker_connects_total{${atBroker},listener="mqtts"}`]: '0+60x60',
    },
    after: '40m',
    labels: messaging,
    says: 'In messaging 5 clients a second are refused, more than are let in.',
    silent: {
      ...refused('wrong-password', '0+300x60'),
      [`cloudsignal_broker_connects_total{${atBroker},listener="mqtts"}`]: '0+600x60',
    },
  },
  CloudSignalGuessing: {
    fires: refused('throttled-name', '0+120x60'),
    after: '30m',
    labels: { ...messaging, reason: 'throttled-name' },
    says: 'In messaging 2 attempts a second are refused unseen (throttled-name).',
    silent: refused('throttled-name', '0+6x60'),
  },
  CloudSignalPasswordChecksFull: {
    fires: refused('busy', '0+60x60'),
    after: '20m',
    labels: broker,
    says: 'messaging/broker-0 sends 1 clients a second away whose passwords it has no time to look at.',
    silent: refused('busy', '0+3x60'),
  },
  CloudSignalConnectsSlow: {
    ...slow('cloudsignal_broker_connect_duration_seconds', atBroker, ['2.5', '5']),
    after: '20m',
    labels: broker,
    says: 'One in a hundred clients of messaging/broker-0 waits 4.975s or longer for its CONNACK.',
  },
  CloudSignalClientsLost: {
    fires: { [`cloudsignal_broker_connections{${atBroker},listener="mqtts"}`]: '1000x20 400x20' },
    after: '27m',
    labels: messaging,
    says: 'messaging has 400 clients, less than half of what it had a quarter of an hour ago.',
    silent: { [`cloudsignal_broker_connections{${atBroker},listener="mqtts"}`]: '1000x20 600x20' },
  },
  CloudSignalOrganizationFull: {
    fires: refused('organization-full', '0+60x60'),
    after: '30m',
    labels: { ...messaging, reason: 'organization-full' },
    says: 'In messaging 1 clients a second are refused: organization-full.',
    silent: refused('unknown-user', '0+60x60'),
  },
  CloudSignalLimitReached: {
    fires: { [`cloudsignal_broker_limited_total{${atBroker},limit="newcomers"}`]: '0+60x60' },
    after: '30m',
    labels: { ...messaging, limit: 'newcomers' },
    says: 'In messaging the limit newcomers is hit 1 times a second.',
    silent: { [`cloudsignal_broker_limited_total{${atBroker},limit="newcomers"}`]: '0+1x60' },
  },
  CloudSignalMessagesDropped: {
    fires: { [`cloudsignal_broker_messages_dropped_total{${atBroker},reason="slow-consumer"}`]: '0+600x60' },
    after: '30m',
    labels: { ...messaging, reason: 'slow-consumer' },
    says: 'In messaging 10 messages a second are dropped: slow-consumer.',
    silent: { [`cloudsignal_broker_messages_dropped_total{${atBroker},reason="slow-consumer"}`]: '0+6x60' },
  },
  CloudSignalMessagesMissed: {
    fires: { [`cloudsignal_broker_bus_lost_total{${atBroker}}`]: '0x5 6x30' },
    after: '10m',
    labels: broker,
    says: 'messaging/broker-0 missed 6 batches of messages that no other replica has any more.',
    silent: { [`cloudsignal_broker_bus_lost_total{${atBroker}}`]: '6x60' },
  },
  CloudSignalAuditLinesLost: {
    fires: { [`cloudsignal_audit_lines_lost_total{${atBroker}}`]: '0x5 6x30' },
    after: '10m',
    labels: broker,
    says: 'messaging/broker-0 could not write 6 audit lines.',
    silent: { [`cloudsignal_audit_lines_lost_total{${atBroker}}`]: '6x60' },
  },
  CloudSignalExchangesFail: {
    fires: { ...exchanges('issued', '0+60x60'), ...exchanges('service_unavailable', '0+20x60') },
    after: '20m',
    labels: messaging,
    says: 'In messaging 25% of the exchanges fail for reasons of the service.',
    // What callers did wrong is no failure of the service.
    silent: { ...exchanges('issued', '0+60x60'), ...exchanges('token_expired', '0+200x60') },
  },
  CloudSignalExchangesRefused: {
    fires: { ...exchanges('issued', '0+20x60'), ...exchanges('unknown_key', '0+60x60') },
    after: '40m',
    labels: { ...messaging, provider_type: 'auth0' },
    says: 'In messaging 75% of the tokens of auth0 are refused.',
    silent: { ...exchanges('issued', '0+1x60'), ...exchanges('unknown_key', '0+2x60') },
  },
  CloudSignalIssuerUnreachable: {
    fires: {
      [`cloudsignal_token_service_issuer_documents_failing{${inNamespace},pod="token-service-0",document="jwks"}`]:
        '1x30',
    },
    after: '11m',
    labels: { ...messaging, document: 'jwks' },
    says: 'In messaging 1 documents (jwks) of issuers could not be read when they were asked for last.',
    silent: {
      [`cloudsignal_token_service_issuer_documents_failing{${inNamespace},pod="token-service-0",document="jwks"}`]:
        '1x5 0x30',
    },
  },
  CloudSignalWebhooksRefused: {
    fires: webhooks('wrong-signature', 'org_k7xm4pqr2n5t'),
    after: '90m',
    labels: { ...messaging, organization: 'org_k7xm4pqr2n5t', outcome: 'wrong-signature' },
    says: 'In messaging 60 webhooks for org_k7xm4pqr2n5t were refused within an hour (wrong-signature): who is banned or signs out may stay connected.',
    // Sent twice, and to nobody.
    silent: { ...webhooks('replayed', 'org_k7xm4pqr2n5t'), ...webhooks('not-configured', 'none') },
  },
  CloudSignalExchangesSlow: {
    ...slow('cloudsignal_token_service_exchange_duration_seconds', `${inNamespace},provider_type="oidc"`, [
      '2.5',
      '5',
    ]),
    after: '20m',
    labels: messaging,
    says: 'In messaging one in a hundred exchanges takes 4.975s or longer.',
  },
  CloudSignalTokenServiceOverloaded: {
    fires: { [`cloudsignal_token_service_shed_total{${inNamespace},pod="token-service-0"}`]: '0+300x30' },
    after: '15m',
    labels: messaging,
    says: 'In messaging 5 requests a second are refused because there is more to do than can be done.',
    silent: { [`cloudsignal_token_service_shed_total{${inNamespace},pod="token-service-0"}`]: '0x5 10x30' },
  },
  CloudSignalRequestsFail: {
    fires: {
      [`cloudsignal_token_service_requests_total{${inNamespace},method="POST",route="/v1/tokens",status="200"}`]:
        '0+60x60',
      [`cloudsignal_token_service_requests_total{${inNamespace},method="POST",route="/v1/tokens",status="503"}`]:
        '0+20x60',
    },
    after: '20m',
    labels: { ...messaging, route: '/v1/tokens' },
    says: 'In messaging 25% of the requests to /v1/tokens are answered with 5xx.',
    silent: {
      [`cloudsignal_token_service_requests_total{${inNamespace},method="POST",route="/v1/tokens",status="200"}`]:
        '0+60x60',
      [`cloudsignal_token_service_requests_total{${inNamespace},method="POST",route="/v1/tokens",status="401"}`]:
        '0+60x60',
    },
  },
  CloudSignalRequestsLimited: {
    fires: { [`cloudsignal_token_service_limited_total{${inNamespace},limit="key"}`]: '0+120x60' },
    after: '30m',
    labels: { ...messaging, limit: 'key' },
    says: 'In messaging 2 requests a second are over the limit key.',
    silent: { [`cloudsignal_token_service_limited_total{${inNamespace},limit="key"}`]: '0+6x60' },
  },
  CloudSignalNoLeader: {
    fires: {
      ...ofOperators,
      [`leader_election_master_status{${atOperator},name="cs"}`]: '0x30',
      [`leader_election_master_status{${inNamespace},pod="operator-1",name="cs"}`]: '0x30',
      // Of some other operator.
      [`leader_election_master_status{${inNamespace},pod="other",name="other"}`]: '1x30',
    },
    after: '5m',
    labels: { ...messaging, name: 'cs' },
    says: 'In messaging no replica of the operator leads: what is applied has no effect.',
    silent: {
      ...ofOperators,
      [`leader_election_master_status{${atOperator},name="cs"}`]: '0x30',
      [`leader_election_master_status{${inNamespace},pod="operator-1",name="cs"}`]: '1x30',
    },
  },
  CloudSignalTwoLeaders: {
    fires: {
      ...ofOperators,
      [`leader_election_master_status{${atOperator},name="cs"}`]: '1x30',
      [`leader_election_master_status{${inNamespace},pod="operator-1",name="cs"}`]: '1x30',
    },
    after: '5m',
    labels: { ...messaging, name: 'cs' },
    says: 'In messaging 2 replicas of the operator say that they lead.',
    silent: {
      ...ofOperators,
      [`leader_election_master_status{${atOperator},name="cs"}`]: '1x30',
      [`leader_election_master_status{${inNamespace},pod="operator-1",name="cs"}`]: '0x30',
      [`leader_election_master_status{${inNamespace},pod="other",name="other"}`]: '1x30',
    },
  },
  CloudSignalReconcilesFail: {
    fires: {
      ...ofOperators,
      [`controller_runtime_reconcile_errors_total{${atOperator},controller="mqttuser"}`]: '0+60x60',
    },
    after: '30m',
    labels: { ...messaging, controller: 'mqttuser' },
    says: 'In messaging reconciles of mqttuser fail 1 times a second.',
    silent: {
      ...ofOperators,
      [`controller_runtime_reconcile_errors_total{${inNamespace},pod="other",controller="mqttuser"}`]:
        '0+60x60',
    },
  },
  CloudSignalReconcilePanics: {
    fires: {
      ...ofOperators,
      [`controller_runtime_reconcile_panics_total{${atOperator},controller="mqttuser"}`]: '0x5 3x30',
    },
    after: '10m',
    labels: { ...messaging, controller: 'mqttuser' },
    says: 'In messaging reconciles of mqttuser failed 3 times by a mistake in the program.',
    silent: {
      ...ofOperators,
      [`controller_runtime_reconcile_panics_total{${atOperator},controller="mqttuser"}`]: '3x60',
    },
  },
  CloudSignalQueueLong: {
    fires: { ...ofOperators, [`workqueue_depth{${atOperator},name="mqttuser"}`]: '500x30' },
    after: '11m',
    labels: { ...messaging, name: 'mqttuser' },
    says: 'In messaging 500 objects wait in the queue mqttuser.',
    silent: { ...ofOperators, [`workqueue_depth{${atOperator},name="mqttuser"}`]: '500x5 0x30' },
  },
  CloudSignalResourcesNotReady: {
    fires: {
      [`cloudsignal_operator_resources{${atOperator},kind="MqttUser",ready="False",reason="NoAccess"}`]:
        '2x60',
    },
    after: '31m',
    labels: { ...messaging, kind: 'MqttUser', reason: 'NoAccess' },
    says: 'In messaging 2 objects of kind MqttUser are not ready: NoAccess.',
    // It was meant so.
    silent: {
      [`cloudsignal_operator_resources{${atOperator},kind="MqttUser",ready="False",reason="Suspended"}`]:
        '2x60',
    },
  },
  CloudSignalWatchesFail: {
    fires: {
      [`cloudsignal_operator_watch_restarts_total{${atOperator},resource="mqttusers",reason="timeout"}`]:
        '0+2x60',
    },
    after: '30m',
    labels: { ...messaging, resource: 'mqttusers' },
    says: 'In messaging watching mqttusers failed 30 times in a quarter of an hour.',
    silent: {
      [`cloudsignal_operator_watch_restarts_total{${atOperator},resource="mqttusers",reason="timeout"}`]:
        '0x20 3x40',
    },
  },
  CloudSignalApiServerErrors: {
    fires: {
      ...ofOperators,
      [`rest_client_requests_total{${atOperator},code="200",method="GET",host="api"}`]: '0+60x60',
      [`rest_client_requests_total{${atOperator},code="503",method="GET",host="api"}`]: '0+20x60',
    },
    after: '30m',
    labels: messaging,
    says: 'In messaging 25% of the requests of the operator fail.',
    silent: {
      ...ofOperators,
      [`rest_client_requests_total{${atOperator},code="200",method="GET",host="api"}`]: '0+60x60',
      [`rest_client_requests_total{${atOperator},code="404",method="GET",host="api"}`]: '0+20x60',
    },
  },
  CloudSignalRemovalHeld: {
    fires: { [`cloudsignal_operator_orphans_held{${atOperator}}`]: '12x10' },
    after: '3m',
    labels: messaging,
    says: 'In messaging 12 records have no object any more and stay until somebody confirms.',
    silent: { [`cloudsignal_operator_orphans_held{${atOperator}}`]: '0x10' },
  },
}
